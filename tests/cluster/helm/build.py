"""Finds the helm program in the cache folder, or builds it from this folder's Go module."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "v3.22.0"
PACKAGE = "helm.sh/helm/v3/cmd/helm"
MODULE_FOLDER = Path(__file__).parent


class BuildError(Exception):
    """helm cannot be had; the text says what is missing."""


def ensure() -> Path:
    """Return the program, cached or built now.

    Raises:
        BuildError: Go is missing, too old, or the build failed.
    """
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    cache = Path(base) / "release-portal" / f"helm-{VERSION}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not os.access(cache / "helm", os.X_OK):
            _build(cache)
    return cache / "helm"


def _build(cache: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise BuildError("Go 1.26 or newer is needed to build helm, and `go` is not on the PATH.")
    sys.stderr.write(f"building helm {VERSION} ...\n")
    # The binary gets its name only when it is whole, so an interrupted build is not taken for a finished one.
    unfinished = cache / ".helm.unfinished"
    flags = f"-s -w -X helm.sh/helm/v3/internal/version.version={VERSION}"
    result = subprocess.run(
        [go, "build", "-trimpath", "-p", "2", "-ldflags", flags, "-o", str(unfinished), PACKAGE],
        cwd=MODULE_FOLDER,
        env={**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"},
        text=True,
        capture_output=True,
        check=False,
    )
    if result.returncode:
        raise BuildError(f"building helm failed:\n{result.stderr[-2000:]}")
    unfinished.replace(cache / "helm")
