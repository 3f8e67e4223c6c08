"""The examples on the practice cluster: all of it runs, answers, is discovered and is what was offered."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from portal.errors import PortalError
from portal.integrations.http.client import get
from portal.integrations.kubernetes.client import Cluster, connect
from releases.catalog import versions
from releases.catalog.documents import read_text
from releases.catalog.files import load_folder
from releases.catalog.models import Environment, Service
from releases.catalog.outbound import allowed
from releases.catalog.schema import problems_of
from tests.catalog.conftest import EXAMPLES, LOADER
from tests.catalog.test_command import run
from tests.cluster.controlplane.processes import ProcessGroup, free_ports
from tests.soak import long

pytestmark = pytest.mark.django_db
FAST = ("pull", "start", "ready", "terminate")
START_SECONDS = 60


@dataclass(frozen=True)
class Practice:
    """A running practice cluster with its registry."""

    kubeconfig: Path
    registry_url: str

    def connect(self) -> Cluster:
        return connect({"kubeconfigRef": f"file:{self.kubeconfig}"})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    folder = tmp_path_factory.mktemp("practice")
    port, registry_port = free_ports(2)
    practice = Practice(folder / "kubeconfig", f"http://127.0.0.1:{registry_port}")
    command = [sys.executable, "-m", "portal.embedded.cluster", "--data", str(folder / "data")]
    command += ["--port", str(port), "--registry-port", str(registry_port)]
    command += ["--kubeconfig", str(practice.kubeconfig), "--images", str(EXAMPLES / "images.yaml")]
    command += [each for name in FAST for each in (f"--{name}-seconds", "0.05")]
    for file in sorted(EXAMPLES.glob("*/objects.yaml")):
        command += ["--manifest", str(file)]
    processes = ProcessGroup(log_folder=folder)
    processes.start("practice", command)
    try:
        processes.wait_until(lambda: _all_ready(practice), name="practice", seconds=START_SECONDS)
        yield practice
    finally:
        processes.stop()


def _all_ready(practice: Practice) -> bool:
    if not practice.kubeconfig.exists():
        return False
    try:
        found = practice.connect().get("/apis/apps/v1/deployments")["items"]
    except PortalError:
        return False
    wanted = sum(int(each["spec"]["replicas"]) for each in found)
    ready = sum(int(each["status"].get("readyReplicas", 0)) for each in found)
    return 0 < wanted == ready


@pytest.fixture
def practice(running: Practice, monkeypatch: pytest.MonkeyPatch) -> Practice:
    monkeypatch.setenv("KUBECONFIG", str(running.kubeconfig))
    monkeypatch.setenv("PRACTICE_REGISTRY_URL", running.registry_url)
    versions.LISTS.clear()
    load_folder(EXAMPLES, actor=LOADER)
    return running


@long
def test_every_service_says_that_it_is_well(practice: Practice) -> None:
    cluster, asked = practice.connect(), 0
    for service in Service.objects.prefetch_related("environments"):
        health = service.spec["health"]
        for environment in service.environments.all() if health["kind"] != "none" else ():
            path = f"/api/v1/namespaces/{environment.namespace}/services/{health['service']}"
            address = cluster.get(path)["spec"]["clusterIP"]
            url = f"http://{address}:{health['port']}{health['path']}"
            answer = get(url, timeout_seconds=3, allow=allowed(environment, addresses=[address]))
            assert answer.status == 200, service
            assert health["kind"] != "actuator" or answer.json["status"] == "UP"
            asked += 1
    assert asked > 30


@long
def test_what_runs_is_what_the_registry_says(practice: Practice) -> None:
    cluster = practice.connect()
    service = Service.objects.get(name="auth-service")
    found = versions.resolve(service, "v1.3.0")
    pods = cluster.find("pods", "portal-universe", labels={"app": "auth-service"}).items
    running = {
        status["imageID"].rpartition("@")[2] for pod in pods for status in pod["status"]["containerStatuses"]
    }
    assert running
    assert running <= found.accepted
    assert found.revision


@long
def test_an_image_says_who_built_it(practice: Practice) -> None:
    service = Service.objects.get(name="blog-service")
    assert [versions.resolve(service, version).authors for version in ("v1.2.0", "v1.3.0")] == ["chaewon", ""]


@long
def test_newer_versions_than_what_runs_are_offered(practice: Practice) -> None:
    offered = [each.version for each in versions.versions(Service.objects.get(name="blog-service"))]
    assert offered == ["v1.4.1", "v1.4.0", "v1.4.0-broken", "v1.3.0", "v1.2.0"]


@long
def test_discovery_of_each_namespace_fits_the_catalog(practice: Practice) -> None:
    for environment in Environment.objects.order_by("name"):
        text = run("discover", "--namespace", environment.namespace, "--kubeconfig", practice.kubeconfig)
        documents, problems = read_text(text, "found.yaml")
        assert problems + [each for document in documents for each in problems_of(document)] == []
        workloads = {
            (each["kind"], each["name"])
            for document in yaml.safe_load_all(text)
            if document
            for each in document["spec"]["workloads"]
        }
        described = {
            (each["kind"], each["name"])
            for service in environment.services.all()
            for each in service.spec["workloads"]
        }
        assert described <= workloads
