"""One practice cluster for the whole run, with a small registry and quick pods."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.cluster.api import Api, from_kubeconfig
from tests.cluster.objects import Space, namespace

IMAGES = """
shop/web:
  - {tag: "1.0", created: 2024-05-01T10:00:00Z, commit: aaaa1111}
  - {tag: "1.1", created: 2024-05-02T10:00:00Z, commit: bbbb2222}
  - {tag: "1.2", created: 2024-05-03T10:00:00Z, practice/fail: CrashLoopBackOff}
  - {tag: "1.3", created: 2024-05-04T10:00:00Z, practice/health: DOWN}
shop/worker:
  - {tag: "7", created: 2024-05-01T10:00:00Z}
  - {tag: "8", created: 2024-05-02T10:00:00Z, labels: {practice/errors: "0.2"}}
  - {tag: "9", created: 2024-05-03T10:00:00Z, labels: {practice/latency: "0.3"}}
"""
QUICK = ["--pull-seconds=0.05", "--start-seconds=0.05", "--ready-seconds=0.05", "--terminate-seconds=0.1"]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@dataclass
class Practice:
    """The process, and how to start it again on the same data."""

    folder: Path
    port: int = field(default_factory=free_port)
    registry_port: int = field(default_factory=free_port)
    prometheus_port: int = field(default_factory=free_port)
    options: tuple[str, ...] = ()
    process: subprocess.Popen[str] | None = None

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    def start(self) -> str:
        """Start the process and return the line it prints when it is ready."""
        images = self.folder / "images.yaml"
        images.write_text(IMAGES)
        command = [sys.executable, "-m", "portal.embedded.cluster", "--data", str(self.folder / "data")]
        command += ["--port", str(self.port), "--registry-port", str(self.registry_port)]
        command += ["--prometheus-port", str(self.prometheus_port)]
        command += ["--kubeconfig", str(self.kubeconfig), "--images", str(images), *QUICK, *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the process by a signal and return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    @property
    def api(self) -> Api:
        found = from_kubeconfig(self.kubeconfig)
        assert found is not None
        return found

    def resident_mebibytes(self) -> float:
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def cpu_seconds(self) -> float:
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="session")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    made = Practice(tmp_path_factory.mktemp("practice"))
    assert "ready" in made.start()
    yield made
    assert made.end() == 0


@pytest.fixture
def space(practice: Practice) -> Iterator[Space]:
    api = practice.api
    with namespace(api) as made:
        yield made
    api.close()


@pytest.fixture
def no_faults(practice: Practice) -> Iterator[None]:
    """Take every fault back at the end."""
    yield
    api = practice.api
    api.delete("practice/faults")
    api.close()


class Kubectl:
    """kubectl as administrator of the practice cluster."""

    def __init__(self, practice: Practice, namespace: str) -> None:
        self.namespace = namespace
        self._base = ["kubectl", "--kubeconfig", str(practice.kubeconfig), "--namespace", namespace]
        self._home = practice.folder

    def __call__(self, *arguments: str, given: str | None = None, code: int = 0) -> str:
        environment = {**os.environ, "HOME": str(self._home)}
        done = subprocess.run(
            [*self._base, *arguments],
            text=True,
            capture_output=True,
            check=False,
            timeout=30,
            input=given,
            env=environment,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def kubectl(practice: Practice, space: Space) -> Kubectl:
    if shutil.which("kubectl") is None:
        pytest.fail("kubectl is needed on the PATH for these tests")
    return Kubectl(practice, space.name)


def plain_get(url: str, **headers: str) -> tuple[int, dict[str, str], Any]:
    """GET over plain HTTP; JSON bodies decoded."""
    with urllib3.PoolManager(retries=False) as pool:
        answer = pool.request("GET", url, headers=headers, timeout=5)
    data: Any = answer.data
    if "json" in answer.headers.get("content-type", ""):
        data = json.loads(data)
    return answer.status, dict(answer.headers), data
