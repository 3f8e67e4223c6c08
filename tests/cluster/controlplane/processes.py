"""Starts and ends the server processes: free loopback ports, logs in files, and no orphans."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class StartError(Exception):
    """A process did not come up in time; the text holds the end of its log."""


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that are free now, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


class ProcessGroup:
    """Processes that live and die together, and that die with this process even when it is killed."""

    def __init__(self, *, log_folder: Path) -> None:
        self._log_folder = log_folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str]) -> None:
        with (self._log_folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent(os.getpid()),  # noqa: PLW1509 - runs before any thread is started
            )

    def stop(self) -> None:
        """Kill all, the last started first: nothing that they hold outlives the tests."""
        for process in reversed(self._processes.values()):
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()

    @property
    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._processes.items()}

    def wait_until(self, ready: Callable[[], bool], *, name: str, seconds: float) -> None:
        """Poll until the process called `name` has done its part.

        Raises:
            StartError: it ended, or the time is over.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            ended = self._processes[name].poll() is not None
            if ended or time.monotonic() > deadline:
                what = "ended" if ended else f"was not ready after {seconds:.0f} s"
                raise StartError(f"{name} {what}: {self._end_of_log(name)}")
            time.sleep(0.1)

    def _end_of_log(self, name: str) -> str:
        return (self._log_folder / f"{name}.log").read_text(errors="replace")[-3000:]


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    """Ask the kernel to kill the child when its parent dies, however that happens (Linux only)."""
    libc = _LIBC
    if libc is None:
        return None

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before the kernel was asked
            os._exit(1)

    return ask
