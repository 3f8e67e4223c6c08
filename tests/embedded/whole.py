"""The whole portal as `make run` starts it: one for the run, because it takes its time."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from portal.embedded.ports import free_port
from portal.translations import compile_catalogs
from tests.embedded.processes import wait_for

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"
READY_SECONDS = 180
OURS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE", "PORTAL_TEST_SERVICES")
Report = dict[str, Any]


class Portal:
    """One data folder, and the portal that runs on it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
        self.log = data.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Report:
        environment = {name: value for name, value in os.environ.items() if name not in OURS}
        environment |= {"PORTAL_DATA": str(self.data), "PORT": str(self.port)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, str(MANAGE), "run"], env=environment, stdout=log)
        assert wait_for(lambda: "ready in" in self.log.read_text() or self._ended(), seconds=READY_SECONDS)
        assert not self._ended(), self.log.read_text()
        return self.report()

    def report(self) -> Report:
        return dict(json.loads((self.data / "demo.json").read_text()))

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=30)

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None


@pytest.fixture(scope="session")
def whole_portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A running portal; who uses it belongs to the group `whole`, so that one worker starts it once."""
    compile_catalogs()
    portal = Portal(tmp_path_factory.mktemp("whole") / "var")
    try:
        portal.start()
        yield portal
    finally:
        if portal.process is not None and portal.process.poll() is None:
            portal.stop()
