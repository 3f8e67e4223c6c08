"""Keeps a set of parts running: start until ready, restart of what dies, stop in order."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from portal.embedded import child
from portal.embedded.output import relay, say

GUARD = Path(__file__).with_name("guard.py")
TICK_SECONDS = 0.05
READY_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0  # a part that lived this long begins again with the first pause


class StopRequested(Exception):
    """A signal asked the supervisor to end."""


def nothing() -> None:
    """Do nothing: the default of a part's preparations."""


@dataclass(frozen=True)
class Part:
    """One process: its name, its kind in the report, what to run, and when it counts as ready."""

    name: str
    kind: str
    command: child.Command
    is_ready: Callable[[], bool]
    prepare: Callable[[], None] = nothing
    after_ready: Callable[[], None] = nothing
    stop_seconds: float = 10.0


@dataclass
class Running:
    """A part's present process, or when the next one is due; the parts of a batch start and end together."""

    part: Part
    batch: int
    process: subprocess.Popen[bytes]
    started_at: float
    ready: bool = False
    pause_seconds: float = FIRST_PAUSE_SECONDS
    due_at: float | None = None


@dataclass
class Supervisor:
    """The keeper of all parts. `on_change` is called when a restarted part is ready again."""

    lock: IO[str]
    on_change: Callable[[], None] = nothing
    _running: list[Running] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _signals: int = 0
    _batches: int = 0
    _guard: subprocess.Popen[bytes] | None = None
    _untold: bool = False

    def __enter__(self) -> "Supervisor":
        """Listen to signals and start the guard."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._guard = subprocess.Popen(
            [sys.executable, "-ESs", str(GUARD)],
            stdin=subprocess.PIPE,
            pass_fds=(self.lock.fileno(),),
            start_new_session=True,
        )
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop what still runs, then let the guard go."""
        self.stop()
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            self._guard.wait()

    def start(self, parts: Iterable[Part], *, meanwhile: Callable[[], None] = nothing) -> None:
        """Start the parts side by side, do something meanwhile, and wait until all are ready.

        Raises:
            StartError: One of them ended, or was not ready in time.
            StopRequested: A signal came meanwhile.
        """
        self._batches += 1
        batch = [self._launch(part) for part in parts]
        meanwhile()
        deadline = time.monotonic() + READY_SECONDS
        while waiting := [running for running in batch if not running.ready]:
            for running in waiting:
                self._look_at_start(running, deadline=deadline)
            self._pause()

    def run_once(self, name: str, command: child.Command, *, show: bool = True) -> str:
        """Run a command to its end and return what it printed.

        Raises:
            StartError: It failed; what it printed is shown.
            StopRequested: A signal came meanwhile.
        """
        process = child.start(command, output=subprocess.PIPE)
        self._tell_guard(f"+ {process.pid} {int(command.stop_signal)}")
        try:
            text = self._collect(name, process, show=show)
        finally:
            child.stop(process, stop_signal=command.stop_signal, timeout_seconds=5)
            self._tell_guard(f"- {process.pid}")
        if process.returncode:
            if not show:
                say(name, text.strip())
            raise child.StartError(f"{name} ended with code {process.returncode}")
        return text

    def watch(self) -> None:
        """Restart what dies, until a signal comes."""
        while not self._stop.wait(TICK_SECONDS * 4):
            for running in self._running:
                self._look_after(running)
            if self._untold:
                self._tell_change()

    def stop(self) -> None:
        """End all parts, the last batch first."""
        while self._running:
            batch = self._running[-1].batch
            group = [running for running in self._running if running.batch == batch]
            self._running = [running for running in self._running if running.batch != batch]
            for running in group:
                if running.process.poll() is None:
                    running.process.send_signal(running.part.command.stop_signal)
            for running in group:
                self._see_off(running)

    def pids(self, kind: str) -> list[int]:
        """Return the process numbers of the living parts of a kind."""
        kin = [running for running in self._running if running.part.kind == kind]
        return [running.process.pid for running in kin if running.process.poll() is None]

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        self._stop.set()

    def _launch(self, part: Part) -> Running:
        running = Running(part, self._batches, self._begin(part), time.monotonic())
        self._running.append(running)
        return running

    def _begin(self, part: Part) -> subprocess.Popen[bytes]:
        part.prepare()
        command = part.command
        process = child.start(command, output=subprocess.PIPE)
        self._tell_guard(f"+ {process.pid} {int(command.stop_signal)}")
        relay(part.name, process)
        return process

    def _look_at_start(self, running: Running, *, deadline: float) -> None:
        name, code = running.part.name, running.process.poll()
        if code is not None:
            raise child.StartError(f"{name} ended with code {code} before it was ready")
        if time.monotonic() > deadline:
            raise child.StartError(f"{name} was not ready within {READY_SECONDS:.0f} s")
        self._became_ready(running)

    def _became_ready(self, running: Running) -> bool:
        if not running.part.is_ready():
            return False
        running.part.after_ready()
        running.ready = True
        return True

    def _look_after(self, running: Running) -> None:
        if running.due_at is not None:
            self._restart_when_due(running)
        elif running.process.poll() is not None:
            self._plan_restart(running)
        elif not running.ready and self._became_ready(running):
            say("supervisor", f"{running.part.name} is back")
            self._tell_change()

    def _tell_change(self) -> None:
        """Tell it now, or at a later look where the disk is full."""
        try:
            self.on_change()
        except OSError as error:
            if not self._untold:
                say("supervisor", f"the change could not be written down yet: {error}")
            self._untold = True
            return
        self._untold = False

    def _plan_restart(self, running: Running) -> None:
        if time.monotonic() - running.started_at > STEADY_SECONDS:
            running.pause_seconds = FIRST_PAUSE_SECONDS
        self._tell_guard(f"- {running.process.pid}")
        child.kill_group(running.process.pid)
        code = running.process.returncode
        text = (
            f"{running.part.name} ended with code {code}; starting it again in {running.pause_seconds:.1f} s"
        )
        say("supervisor", text)
        running.due_at = time.monotonic() + running.pause_seconds
        running.pause_seconds = min(running.pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    def _restart_when_due(self, running: Running) -> None:
        if running.due_at is None or time.monotonic() < running.due_at:
            return
        try:
            running.process = self._begin(running.part)
        except (child.StartError, OSError) as error:
            say("supervisor", f"{running.part.name} cannot be started: {error}")
            running.due_at = time.monotonic() + LONGEST_PAUSE_SECONDS
            return
        running.started_at, running.due_at, running.ready = time.monotonic(), None, False

    def _see_off(self, running: Running) -> None:
        patience = running.part.stop_seconds
        deadline = time.monotonic() + patience
        asked = self._signals
        while running.process.poll() is None and time.monotonic() < deadline and self._signals == asked:
            time.sleep(TICK_SECONDS)
        if running.process.poll() is None:
            say("supervisor", f"{running.part.name} did not end by itself")
        child.kill_group(running.process.pid)  # and what it may have started
        running.process.wait()
        self._tell_guard(f"- {running.process.pid}")

    def _collect(self, name: str, process: subprocess.Popen[bytes], *, show: bool) -> str:
        lines: list[bytes] = []
        reader = threading.Thread(
            target=_read_lines, args=(process, lines, name if show else None), daemon=True
        )
        reader.start()
        while process.poll() is None:
            self._pause()
        reader.join(timeout=5)
        return b"".join(lines).decode(errors="replace")

    def _pause(self) -> None:
        if self._stop.wait(TICK_SECONDS):
            raise StopRequested

    def _tell_guard(self, line: str) -> None:
        if self._guard is None or self._guard.stdin is None:
            return
        try:
            self._guard.stdin.write(f"{line}\n".encode())
            self._guard.stdin.flush()
        except BrokenPipeError:  # somebody killed it; on Linux the kernel's signal remains
            self._guard = None
            say("supervisor", "the guard is gone: after a kill -9 of this process, parts may stay behind")


def _read_lines(process: subprocess.Popen[bytes], lines: list[bytes], name: str | None) -> None:
    if process.stdout is None:
        return
    with process.stdout as stream:
        for line in stream:
            lines.append(line)
            if name is not None:
                say(name, line.decode(errors="replace").rstrip())
