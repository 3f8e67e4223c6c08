"""Roles of the portal that are born in milliseconds: a process with everything loaded forks them on demand.

A test that kills hundreds of them could not wait for as many starts of Python. Run as a module this is that
process: it reads {"role", "env"} line by line and answers with the child's number; they all end with it.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import ClassVar, Self

from portal.embedded.child import is_alive
from tests.embedded.processes import wait_for

DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
# By so many seconds the clock of a role is wrong.
CLOCK = "TEST_CLOCK_WRONG_BY"
END_SECONDS = 10.0


class _Like(type):
    """Takes a true moment for one of its own."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, datetime)


class Wrong(datetime, metaclass=_Like):
    """A `datetime` whose now is another."""

    by: ClassVar[timedelta]

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """Read the wrong clock."""
        return super().now(tz) + cls.by


class Nursery:
    """The test's side of it."""

    def __init__(self, log: Path, **env: str) -> None:
        self.log = log
        self.living: dict[int, str] = {}
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**os.environ, **env},
                text=True,
                bufsize=1,
            )

    def birth(self, role: str, **env: str) -> int:
        """Start a role and return its number."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"role": role, "env": env}) + "\n")
        answer = self._process.stdout.readline()
        assert answer, self.log.read_text()[-3000:]
        self.living[int(answer)] = role
        return int(answer)

    def kill(self, pid: int) -> str:
        """Kill one with -9, wait until it is gone, and return its role."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        assert wait_for(lambda: not is_alive(pid), seconds=END_SECONDS)
        return self.living.pop(pid)

    def end(self) -> None:
        """End all of them."""
        for pid in list(self.living):
            self.kill(pid)
        self._process.kill()
        self._process.communicate()


@contextlib.contextmanager
def nursery(log: Path, **env: str) -> Iterator[Nursery]:
    """A nursery for the time of a block."""
    made = Nursery(log, **env)
    try:
        yield made
    finally:
        made.end()


def _live(role: str, env: dict[str, str]) -> None:
    """Be that role, in a process of its own."""
    from portal.embedded.management.commands.run import ROLES  # noqa: PLC0415  needs Django

    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.update(env)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)
    _put_clock_wrong(float(os.environ.get(CLOCK, "0")))
    ROLES[role]()


def _put_clock_wrong(seconds: float) -> None:
    """Shift every clock that Python code reads but the monotonic one, which nobody can set."""
    if not seconds:
        return
    true = time.time
    time.time = lambda: true() + seconds
    Wrong.by = timedelta(seconds=seconds)
    mine = sys.modules[__name__]
    for module in list(sys.modules.values()):
        # This module's own is what the others' are known by.
        if module is not mine and getattr(module, "datetime", None) is datetime:
            module.datetime = Wrong  # type: ignore[attr-defined]


def _serve() -> None:
    """Fork what is asked for until nobody asks any more."""
    import django  # noqa: PLC0415  only this process sets it up

    django.setup()
    from releases.rollouts import engine, jobs, watcher  # noqa: F401, PLC0415  loaded before the first birth

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who dies is not waited for
    for line in sys.stdin:
        wanted = json.loads(line)
        pid = os.fork()
        if not pid:
            try:
                _live(wanted["role"], wanted["env"])
            finally:
                os._exit(1)
        print(pid, flush=True)  # noqa: T201  the answer


if __name__ == "__main__":
    _serve()
