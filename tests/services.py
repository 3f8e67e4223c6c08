"""The PostgreSQL and the Valkey that one pytest run uses, started before Django's settings are read."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from portal.embedded import child
from portal.embedded.ports import free_port
from portal.embedded.postgres import Postgres
from portal.embedded.valkey import Valkey

OWNER = "PORTAL_TEST_SERVICES"
REAL_DATABASE = "TEST_DATABASE_URL"
REAL_REDIS = "TEST_REDIS_URL"
START_SECONDS = 30
STOP_SECONDS = 5
# What a developer's shell may hold and a test run must not see.
FOREIGN = (
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "REDIS_URL",
    "KUBECONFIG",
    "DEMO",
    "PORT",
    "PUBLIC_URL",
    "ALLOWED_HOSTS",
    "TIME_ZONE",
    "AUDIT_KEY",
    "AUDIT_CHECKPOINT_LOG",
)


@dataclass
class TestServices:
    """Starts what the run needs, says so in the environment, and ends it."""

    __test__ = False

    folder: Path | None = None
    running: list[tuple[subprocess.Popen[bytes], child.Command]] = field(default_factory=list)

    def start(self) -> None:
        """Start both servers, unless the process that started this one has done so (a worker of xdist)."""
        if OWNER in os.environ:
            _take_own_redis_database()
            return
        self._clean_environment()
        atexit.register(self.stop)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # an end by `timeout` cleans up like Ctrl-C
        self.folder = Path(tempfile.mkdtemp(prefix="portal-tests-"))
        os.environ[OWNER] = str(os.getpid())
        os.environ["PORTAL_DATA"] = str(self.folder)
        os.environ["SECRET_KEY"] = "not a secret: used by one test run only, then forgotten"
        os.environ["DATABASE_URL"] = os.environ.get(REAL_DATABASE) or self._start_postgres(self.folder)
        os.environ["REDIS_URL"] = os.environ.get(REAL_REDIS) or self._start_valkey(self.folder)

    def stop(self) -> None:
        """End what was started here, last first, and forget its data."""
        for process, command in reversed(self.running):
            child.stop(process, stop_signal=command.stop_signal, timeout_seconds=STOP_SECONDS)
        self.running.clear()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def _clean_environment(self) -> None:
        for name in FOREIGN:
            os.environ.pop(name, None)
            os.environ.pop(f"{name}_FILE", None)

    def _start_postgres(self, folder: Path) -> str:
        server = Postgres(folder / "postgres", free_port(), durable=False)
        server.prepare()
        self._start("PostgreSQL", server.command(), server.is_ready)
        server.open_for_portal()
        return server.owner_url

    def _start_valkey(self, folder: Path) -> str:
        server = Valkey(folder / "valkey", free_port(), durable=False)
        server.prepare()
        self._start("Valkey", server.command(), server.is_ready)
        return server.url

    def _start(self, name: str, command: child.Command, is_ready: Callable[[], bool]) -> None:
        process = child.start(command, output=subprocess.DEVNULL)
        self.running.append((process, command))
        child.wait_until_ready(process, name=name, is_ready=is_ready, timeout_seconds=START_SECONDS)


def _take_own_redis_database() -> None:
    """Give each worker of xdist a queue of its own: another's jobs name rows of another database."""
    number = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")) + 1
    parts = urlsplit(os.environ["REDIS_URL"])
    os.environ["REDIS_URL"] = urlunsplit(parts._replace(path=f"/{number}"))
