"""One supervisor for one data folder: a lock that ends with its holder, however that ends."""

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from portal.embedded.child import is_alive

WAIT_SECONDS = 15.0
DYING_SECONDS = 0.5  # a killed process is seen for a moment longer
POLL_SECONDS = 0.1


class AlreadyRunningError(Exception):
    """Another supervisor lives on this data folder."""


def take(path: Path) -> IO[str]:
    """Take the lock and note our process number in it; keep the file open as long as it is needed.

    The guard holds the same open file, so the lock outlives a killed supervisor until its children are gone;
    that is waited for.

    Raises:
        AlreadyRunningError: The holder is alive.
    """
    file = path.open("a+")
    certain, deadline = time.monotonic() + DYING_SECONDS, time.monotonic() + WAIT_SECONDS
    while not _locked(file):
        holder = _holder(path)
        if (is_alive(holder) and time.monotonic() > certain) or time.monotonic() > deadline:
            file.close()
            text = f"process {holder} already runs on {path.parent}: stop it, or set another PORTAL_DATA"
            raise AlreadyRunningError(text)
        time.sleep(POLL_SECONDS)
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(path: Path) -> int:
    text = path.read_text().strip()
    return int(text) if text.isdigit() else 0
