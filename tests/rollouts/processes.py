"""The portal's own processes on the database of a test: workers, sweeper, watcher."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import django_rq
from django.db import connection

from portal.embedded.ports import HOST, free_port
from portal.embedded.roles import MANAGE, READY_FILE, web_answers
from tests.embedded.processes import wait_for

START_SECONDS = 30.0
# Shorter than in earnest, so that a test need not wait for a dead worker's lease.
LEASE_SECONDS = "4"


class Processes:
    """Starts roles and ends whatever is left of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, role: str, *, manage: Path = MANAGE, **env: str) -> subprocess.Popen[bytes]:
        """Start a role and wait until it is ready.

        Args:
            manage: of which version; this one's by default.
            env: added to its environment.
        """
        sign = self.folder / f"ready-{len(self.running)}"
        process = self._start(role, manage, {READY_FILE: str(sign), **env})
        assert wait_for(lambda: sign.exists() or process.poll() is not None, seconds=START_SECONDS)
        assert process.poll() is None, self.logs()
        return process

    def serve(self, *, manage: Path = MANAGE) -> str:
        """Start a web process and return its address once it answers."""
        port = free_port()
        address = f"http://{HOST}:{port}"
        self._start("web", manage, {"PORT": str(port), "PUBLIC_URL": address})
        assert wait_for(lambda: web_answers(port, address=address), seconds=START_SECONDS), self.logs()
        return address

    def _start(self, role: str, manage: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        own = {"DATABASE_URL": database_url(), "LEASE_SECONDS": LEASE_SECONDS}
        with (self.folder / f"{role}-{len(self.running)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, str(manage), "run", role],
                env={**os.environ, **own, **env},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.running.append(process)
        return process

    def wrote(self, process: subprocess.Popen[bytes]) -> str:
        """All that a process wrote."""
        (log,) = self.folder.glob(f"*-{self.running.index(process)}.log")
        return log.read_text()

    def logs(self) -> str:
        """What the processes wrote."""
        return "\n".join(f"{path.name}:\n{path.read_text()[-3000:]}" for path in self.folder.glob("*.log"))

    def stop(self) -> None:
        """End all of them."""
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(timeout=10)


@contextlib.contextmanager
def processes() -> Iterator[Processes]:
    """Roles for the time of a block; the queue is empty before and after."""
    with tempfile.TemporaryDirectory(prefix="portal-roles-") as folder:
        made = Processes(Path(folder))
        django_rq.get_connection("default").flushdb()
        try:
            yield made
        finally:
            made.stop()
            django_rq.get_connection("default").flushdb()


def database_url() -> str:
    """Where other processes reach the database of this test."""
    found = connection.settings_dict
    host = f"{found['USER']}:{found['PASSWORD']}@{found['HOST']}:{found['PORT']}"
    return f"postgresql://{host}/{found['NAME']}"
