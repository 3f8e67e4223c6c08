"""Ends the children of a supervisor that was killed: it hears of them through a pipe.

Run as a script with the pipe as standard input; lines are `+ PID SIGNAL` and `- PID`. Stands beside the
kernel's own parent-death signal, because that one is missing on macOS and may be ignored by a child.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

PATIENCE_SECONDS = 3.0
POLL_SECONDS = 0.05


def main() -> None:
    """Note who lives; when the pipe breaks, ask everyone left to end, then insist."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    living: dict[int, int] = {}
    for line in sys.stdin:
        sign, *numbers = line.split()
        if sign == "+":
            living[int(numbers[0])] = int(numbers[1])
        else:
            living.pop(int(numbers[0]), None)
    _end(living)


def _end(living: dict[int, int]) -> None:
    for pid in reversed(living):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, living[pid])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and any(_is_alive(pid) for pid in living):
        time.sleep(POLL_SECONDS)
    for pid in reversed(living):  # the group outlives its leader while others are in it
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")  # a child that nobody collected counts as gone; macOS has no such file
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


if __name__ == "__main__":
    main()
