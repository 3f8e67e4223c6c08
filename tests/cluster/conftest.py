"""The cluster of these tests: the practice one, or a real control plane (PORTAL_TEST_CLUSTER=real)."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import urllib3
import yaml

from tests.cluster import audit_log, gateway
from tests.cluster.api import Api, from_kubeconfig
from tests.cluster.argo_rollouts import controller
from tests.cluster.controlplane.processes import ProcessGroup, free_ports
from tests.cluster.controlplane.start import ControlPlane
from tests.cluster.objects import Space, namespace
from tests.cluster.rights import portal_account

Kind = Literal["practice", "real"]

# What builds and starts the control plane needs Go, and is tested only where it is used.
USES_CONTROL_PLANE = os.environ.get("PORTAL_TEST_CLUSTER") == "real" and not os.environ.get("KUBECONFIG_TEST")
# What the registry of the examples offers.
IMAGES = Path(__file__).resolve().parents[2] / "deploy" / "examples" / "images.yaml"
# People watch the practice cluster's pods come up; tests need not wait for them.
QUICK_PODS = [
    "--pull-seconds=0.05",
    "--start-seconds=0.05",
    "--ready-seconds=0.05",
    "--terminate-seconds=0.1",
]
# The module folders of the control plane and of helm.
collect_ignore = [] if USES_CONTROL_PLANE else ["controlplane", "helm"]


@dataclass(frozen=True)
class Cluster:
    """A running cluster: `admin` may do everything, `limited` has the rights the portal asks for.

    `audit_log` is what the API server notes of `limited`'s writes, where this run started it (audit_log.py).
    """

    kind: Kind
    kubeconfig_path: Path
    admin: Api
    limited: Api
    audit_log: Path | None = None

    def limited_kubeconfig(self, folder: Path) -> Path:
        """Write the kubeconfig of the account with the portal's rights into the folder."""
        document = yaml.safe_load(self.kubeconfig_path.read_text())
        for each in document["users"]:
            each["user"] = {"token": self.limited.token}
        path = folder / "limited-kubeconfig"
        path.write_text(yaml.safe_dump(document))
        return path

    def kubectl(self, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run kubectl as administrator and return what came of it, failures too."""
        return subprocess.run(
            [_kubectl(), "--kubeconfig", str(self.kubeconfig_path), *arguments],
            text=True,
            capture_output=True,
            check=False,
            timeout=seconds,
        )


@pytest.fixture(scope="session")
def started_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster of this run, named by PORTAL_TEST_CLUSTER (`practice` or `real`) and KUBECONFIG_TEST."""
    kind = os.environ.get("PORTAL_TEST_CLUSTER", "practice")
    if kind not in {"practice", "real"}:
        pytest.fail(f"PORTAL_TEST_CLUSTER is {kind!r}; it must be 'practice' or 'real'")
    with contextlib.ExitStack() as stack:
        if kind == "practice":
            path = stack.enter_context(practice_cluster(tmp_path_factory.mktemp("practice")))
        else:
            path = stack.enter_context(_real_cluster())
        yield stack.enter_context(_seen("practice" if kind == "practice" else "real", path))


@pytest.fixture(scope="session")
def cluster(started_cluster: Cluster) -> Cluster:
    """The cluster on which a test's namespaces are."""
    return started_cluster


@pytest.fixture(scope="session")
def answering_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster whose pods answer what they are asked: beside a control plane they need a network for it.

    A module whose tests ask pods names it as its `cluster`.
    """
    if not USES_CONTROL_PLANE:
        yield request.getfixturevalue("started_cluster")
        return
    with ControlPlane(images=IMAGES) as plane, _seen("real", plane.kubeconfig) as made:
        yield made


@contextlib.contextmanager
def _seen(kind: Kind, path: Path) -> Iterator[Cluster]:
    noted = path.with_name("audit.log") if USES_CONTROL_PLANE else None
    with contextlib.ExitStack() as stack:
        admin = from_kubeconfig(path)
        assert admin is not None
        stack.callback(admin.close)
        limited = from_kubeconfig(path, context="limited") or stack.enter_context(portal_account(admin))
        stack.callback(limited.close)
        yield Cluster(kind, path, admin, limited, noted)


@pytest.fixture(scope="session")
def argo_rollouts(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with Rollouts: the practice one has them, beside a real one their controller is started."""
    with contextlib.ExitStack() as stack:
        if cluster.kind == "real":
            stack.enter_context(controller.running(cluster.admin, cluster.kubeconfig_path))
        yield cluster


@pytest.fixture(scope="session")
def gateway_api(cluster: Cluster) -> Cluster:
    """The cluster with HTTPRoutes: the practice one has them, in a real one their definition is installed."""
    if cluster.kind == "real":
        gateway.install(cluster.admin)
    return cluster


@pytest.fixture
def space(cluster: Cluster) -> Iterator[Space]:
    """A namespace of the test's own, seen by the administrator."""
    with namespace(cluster.admin) as made:
        yield made


@contextlib.contextmanager
def _real_cluster() -> Iterator[Path]:
    named = os.environ.get("KUBECONFIG_TEST")
    if named:
        yield Path(named)
        return
    with ControlPlane(audit=audit_log.POLICY) as plane:
        yield plane.kubeconfig


@contextlib.contextmanager
def practice_cluster(folder: Path, *options: str, registry_port: int | None = None) -> Iterator[Path]:
    """Start a practice cluster for the time of the block, and give its kubeconfig.

    Args:
        options: more for its command line.
        registry_port: where its registry answers; a free port by default.
    """
    port, free = free_ports(2)
    path = folder / "kubeconfig"
    ports = ["--port", str(port), "--registry-port", str(registry_port or free)]
    places = ["--data", str(folder), "--kubeconfig", str(path)]
    command = [sys.executable, "-m", "portal.embedded.cluster", *ports, *places, *QUICK_PODS, *options]
    processes = ProcessGroup(log_folder=folder)
    processes.start("practice-cluster", command)
    try:
        processes.wait_until(lambda: _answers(path), name="practice-cluster", seconds=30)
        yield path
    finally:
        processes.stop()


def _answers(kubeconfig: Path) -> bool:
    if not kubeconfig.exists():
        return False
    try:
        api = from_kubeconfig(kubeconfig)
        return api is not None and api.ask("GET", "version").code == 200
    except (urllib3.exceptions.HTTPError, ValueError, KeyError):
        return False


def _kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:
        pytest.fail("kubectl is needed on the PATH for these tests (any version from 1.30 on)")
    return found
