"""`make reset`: forgets everything that `make run` kept, and nothing else in that folder."""

import shutil
import sys
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from portal import env
from portal.embedded import runlock
from portal.embedded.child import REPOSITORY
from portal.embedded.output import say

FOLDERS = ("postgres", "valkey", "cluster", "ready")
FILES = ("kubeconfig", "ports.json", "demo.json", "secret_key", "audit_key", "checkpoints.jsonl", "lock")


def reset(data: Path) -> None:
    """Remove what the embedded parts keep in the folder.

    Raises:
        AlreadyRunningError: They run.
    """
    if not data.exists():
        return
    with runlock.take(data / "lock"):
        for name in FOLDERS:
            shutil.rmtree(data / name, ignore_errors=True)
        for name in FILES:
            (data / name).unlink(missing_ok=True)


def main() -> int:
    """Reset the folder that PORTAL_DATA names, or `var`."""
    try:
        reset(Path(env.text("PORTAL_DATA", str(REPOSITORY / "var"))))
    except (ImproperlyConfigured, runlock.AlreadyRunningError) as error:
        say("reset", str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
