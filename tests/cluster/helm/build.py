"""Finds the helm programs in the cache folder, or builds them from the Go modules beside this file."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

# By the folder of its module.
VERSIONS = {"v3": "v3.22.0", "v4": "v4.3.1"}
MODULES = Path(__file__).parent


class BuildError(Exception):
    """helm cannot be had; the text says what is missing."""


def ensure(major: str = "v3") -> Path:
    """Return the program of a major version, cached or built now.

    Raises:
        BuildError: Go is missing, too old, or the build failed.
    """
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    cache = Path(base) / "release-portal" / f"helm-{VERSIONS[major]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not os.access(cache / "helm", os.X_OK):
            _build(cache, major)
    return cache / "helm"


def _build(cache: Path, major: str) -> None:
    go = shutil.which("go")
    if go is None:
        raise BuildError("Go 1.26 or newer is needed to build helm, and `go` is not on the PATH.")
    version, module = VERSIONS[major], f"helm.sh/helm/{major}"
    sys.stderr.write(f"building helm {version} ...\n")
    # The binary gets its name only when it is whole, so an interrupted build is not taken for a finished one.
    unfinished = cache / ".helm.unfinished"
    flags = f"-s -w -X {module}/internal/version.version={version}"
    command = [go, "build", "-trimpath", "-p", "2", "-ldflags", flags, "-o", str(unfinished)]
    result = subprocess.run(
        [*command, f"{module}/cmd/helm"],
        cwd=MODULES / major,
        env={**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"},
        text=True,
        capture_output=True,
        check=False,
    )
    if result.returncode:
        raise BuildError(f"building helm failed:\n{result.stderr[-2000:]}")
    unfinished.replace(cache / "helm")
