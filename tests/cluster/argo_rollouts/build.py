"""Builds the controller of Argo Rollouts from its Go module into the cache, and finds its definitions."""

import json
import os
import sys
import time
from pathlib import Path

import yaml

from tests.cluster.api import Json
from tests.cluster.controlplane.build import cache_folder, lock, run_go

VERSION = "v1.10.1"
MODULE = "github.com/argoproj/argo-rollouts"
MODULE_FOLDER = Path(__file__).parent
NAME = "rollouts-controller"


def ensure() -> Path:
    """Return the controller's binary, built now where the cache has none.

    Raises:
        BuildError: Go is missing, too old, or the build failed.
    """
    folder = cache_folder().parent / f"argo-rollouts-{VERSION}" / "bin"
    with lock(folder):
        if not os.access(folder / NAME, os.X_OK):
            started = time.monotonic()
            sys.stderr.write(f"argo rollouts: building {NAME} ...\n")
            # It gets its name only when it is whole.
            unfinished = folder / f".{NAME}.unfinished"
            package = f"{MODULE}/cmd/{NAME}"
            flags = ("-trimpath", "-p", "2", "-ldflags", "-s -w", "-o", str(unfinished))
            run_go(MODULE_FOLDER, "build", *flags, package)
            unfinished.replace(folder / NAME)
            sys.stderr.write(f"argo rollouts: built {NAME} in {time.monotonic() - started:.0f} s\n")
    return folder / NAME


def definitions() -> list[Json]:
    """Return the CustomResourceDefinitions that come with the module."""
    answer = json.loads(run_go(MODULE_FOLDER, "mod", "download", "-json", f"{MODULE}@{VERSION}"))
    files = sorted((Path(answer["Dir"]) / "manifests" / "crds").glob("*-crd.yaml"))
    return [yaml.safe_load(file.read_text()) for file in files]
