"""Finds the control plane's binaries, or builds them from Go modules into a cache folder."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KUBERNETES_VERSION = "v1.36.1"
KWOK_MODULE = "sigs.k8s.io/kwok"
KWOK_VERSION = "v0.8.0"
MODULE_FOLDER = Path(__file__).parent

# etcd comes first because it is the quickest to build: a broken Go installation shows itself early.
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
}
BINARIES = (*PACKAGES, "kwok")
STAGES = ("node/fast", "node/heartbeat-with-lease", "pod/fast", "pod/general")


class BuildError(Exception):
    """The control plane cannot be had; the text says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Tools:
    """Where the five binaries are, and kwok's ready-made stages as one YAML file each."""

    bin_folder: Path
    stages_folder: Path

    def binary(self, name: str) -> str:
        return str(self.bin_folder / name)

    def stage(self, name: str) -> Path:
        return self.stages_folder / (name.replace("/", "-") + ".yaml")


def cache_folder() -> Path:
    """Return the folder that keeps what was built, shared by every checkout of this machine's user."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "release-portal" / f"controlplane-{KUBERNETES_VERSION}"


def ensure() -> Tools:
    """Return the tools: from KUBEBUILDER_ASSETS when it holds all five binaries, else cached, else built now.

    Raises:
        BuildError: Go is missing, too old, or the build failed.
    """
    cache = cache_folder()
    stages = cache / "stages"
    with lock(cache):
        if not all((stages / (name.replace("/", "-") + ".yaml")).exists() for name in STAGES):
            _fetch_stages(stages)
        for folder in _candidates(cache):
            if all(os.access(folder / name, os.X_OK) for name in BINARIES):
                return Tools(bin_folder=folder, stages_folder=stages)
        _build_all(cache / "bin")
    return Tools(bin_folder=cache / "bin", stages_folder=stages)


def _candidates(cache: Path) -> list[Path]:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    return [*([Path(assets)] if assets else []), cache / "bin"]


@contextlib.contextmanager
def lock(cache: Path) -> Iterator[None]:
    """Let one process build while the others wait for its result."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build_all(bin_folder: Path) -> None:
    bin_folder.mkdir(parents=True, exist_ok=True)
    for name in BINARIES:
        if os.access(bin_folder / name, os.X_OK):
            continue
        started = time.monotonic()
        _say(f"building {name} ...")
        if name == "kwok":
            _install_kwok(bin_folder)
        else:
            _build(name, bin_folder=bin_folder)
        _say(f"built {name} in {time.monotonic() - started:.0f} s")


def _build(name: str, *, bin_folder: Path) -> None:
    # The binary gets its name only when it is whole, so an interrupted build is not taken for a finished one.
    unfinished = bin_folder / f".{name}.unfinished"
    _go("build", "-trimpath", "-p", "2", "-ldflags", _link_flags(), "-o", str(unfinished), PACKAGES[name])
    unfinished.replace(bin_folder / name)


def _link_flags() -> str:
    """Without the version numbers the servers would call themselves v0.0.0."""
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    values = {
        "k8s.io/component-base/version.gitVersion": KUBERNETES_VERSION,
        "k8s.io/component-base/version.gitMajor": major,
        "k8s.io/component-base/version.gitMinor": minor,
        "k8s.io/client-go/pkg/version.gitVersion": KUBERNETES_VERSION,
    }
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in values.items())])


def _install_kwok(bin_folder: Path) -> None:
    # kwok needs a newer grpc than the API server, so it is no tool of the same module.
    unfinished = bin_folder / ".kwok.unfinished"
    unfinished.mkdir(exist_ok=True)
    package = f"{KWOK_MODULE}/cmd/kwok@{KWOK_VERSION}"
    _go("install", "-trimpath", "-p", "2", "-ldflags", "-s -w", package, GOBIN=str(unfinished))
    (unfinished / "kwok").replace(bin_folder / "kwok")
    unfinished.rmdir()


def _fetch_stages(folder: Path) -> None:
    """Copy kwok's ready-made stages out of its module."""
    answer = json.loads(_go("mod", "download", "-json", f"{KWOK_MODULE}@{KWOK_VERSION}"))
    folder.mkdir(parents=True, exist_ok=True)
    for name in STAGES:
        sources = sorted((Path(answer["Dir"]) / "kustomize" / "stage" / name).glob("*.yaml"))
        texts = [source.read_text() for source in sources if source.name != "kustomization.yaml"]
        target = folder / (name.replace("/", "-") + ".yaml")
        target.write_text("\n---\n".join(texts))


def _go(*arguments: str, **environment: str) -> str:
    return run_go(MODULE_FOLDER, *arguments, **environment)


def run_go(folder: Path, *arguments: str, **environment: str) -> str:
    """Run the go command in a module's folder and return what it wrote.

    Raises:
        BuildError: Go is missing, or the command failed.
    """
    go = shutil.which("go")
    if go is None:
        raise BuildError(
            "Go 1.26 or newer is needed to build the control plane, and `go` is not on the PATH."
        )
    variables = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", **environment}
    result = subprocess.run(
        [go, *arguments], cwd=folder, env=variables, text=True, capture_output=True, check=False
    )
    if result.returncode:
        raise BuildError(f"`go {arguments[0]}` failed: {result.stderr[-2000:]}")
    return result.stdout


def _say(text: str) -> None:
    sys.stderr.write(f"control plane: {text}\n")


def main() -> int:
    """Build what is missing and print the folder of the binaries."""
    try:
        tools = ensure()
    except BuildError as error:
        _say(str(error))
        return 1
    sys.stdout.write(f"{tools.bin_folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
