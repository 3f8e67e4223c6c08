"""A program started by the portal: how it is started, awaited and ended."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parents[2]
LAUNCHER = Path(__file__).with_name("launch.py")
POLL_SECONDS = 0.03


class StartError(Exception):
    """A part did not become ready; the text says which and where to look."""


@dataclass(frozen=True)
class Command:
    """What to run, as whom, and which signal asks it to end cleanly."""

    argv: tuple[str, ...]
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    env: Mapping[str, str] = field(default_factory=dict)


def start(command: Command, *, output: int | IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the command in a process group of its own; it gets its stop signal when this process dies.

    Call it from the main thread: Linux counts the death of the starting thread as the parent's.

    Args:
        command: What to run.
        output: Where its standard output and errors go: an open file or `subprocess.PIPE`.
    """
    wrapper = [sys.executable, "-ESs", str(LAUNCHER), "--parent", str(os.getpid())]
    wrapper += ["--signal", str(int(command.stop_signal)), "--user", command.user or "", "--"]
    return subprocess.Popen(
        [*wrapper, *command.argv],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=REPOSITORY,
        env={**os.environ, **command.env},
        start_new_session=True,
    )


def wait_until_ready(
    process: subprocess.Popen[bytes], *, name: str, is_ready: Callable[[], bool], timeout_seconds: float
) -> None:
    """Wait for `is_ready` to answer yes.

    Raises:
        StartError: The process ended, or the time is over.
    """
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StartError(f"{name} ended with code {process.returncode} before it was ready")
        if is_ready():
            return
        time.sleep(POLL_SECONDS)
    raise StartError(f"{name} was not ready within {timeout_seconds:.0f} s")


def stop(process: subprocess.Popen[bytes], *, stop_signal: signal.Signals, timeout_seconds: float) -> bool:
    """Ask the process to end, insist when the time is over; say whether it went by itself."""
    if process.poll() is not None:
        return True
    process.send_signal(stop_signal)
    try:
        process.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        kill_group(process.pid)
        process.wait()
        return False
    return True


def kill_group(pid: int) -> None:
    """Kill what is left of the group that the process led."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Say whether a process with this number runs, whoever owns it; a dead one not yet collected does not."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except ProcessLookupError:
        return False  # it went while it was read
    except FileNotFoundError:
        return not Path("/proc/self/stat").exists()  # it went before; or it is macOS, which has no such file
    return status.rpartition(")")[2].split()[0] != "Z"
