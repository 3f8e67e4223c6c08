"""plate under Helm 3 and 4 as it is delivered, on the practice cluster and on the real control plane."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
import yaml
from pytest_django.fixtures import Settings

from portal.actors import Actor
from portal.integrations.helm.client import Helm, program_version
from portal.integrations.kubernetes.connection import read_connection
from releases import operations as release_operations
from releases.catalog.models import Plan, Service
from releases.catalog.operations import load_folder
from releases.models import Release
from tests.cluster.api import from_kubeconfig
from tests.cluster.conftest import QUICK_PODS
from tests.cluster.controlplane.processes import ProcessGroup, free_ports
from tests.cluster.controlplane.start import ControlPlane
from tests.cluster.helm import build
from tests.cluster.objects import Space, wait_for
from tests.factories import RESOLVE, approve_all
from tests.people import acting, person
from tests.rollouts.floor import digest_for, made_up

EXAMPLES = Path(__file__).resolve().parents[3] / "deploy" / "examples"
OVER = EXAMPLES.parent / "examples-helm"
NAMESPACE = "plate-prod"
KINDS = {"Deployment": "deployments", "StatefulSet": "statefulsets"}
# No registry is asked for this host: simulated nodes run whatever they are told.
HOST = "registry.test"
# Simulated nodes answer no HTTP, and nobody pushed these images.
OF_REAL_NODES = {"health", "http", "image_exists"}


@dataclass(frozen=True)
class Plate:
    """The running system under Helm: revision 1 of each service is deployed."""

    space: Space
    helm: Helm
    actor: Actor

    def release(self, version: str = "2.0.0") -> Release:
        """An approved release of all four services."""
        names = ("plate-cache", "plate-api", "plate-llm", "plate-web")
        data = {
            "environment": "plate-production",
            "items": [{"service": name, "version": version} for name in names],
        }
        with mock.patch(RESOLVE, made_up):
            release = release_operations.create_release(data, actor=self.actor)
            release_operations.submit_release(release.number, actor=self.actor)
        for check in release.checks.filter(phase="before", kind="person"):
            release_operations.answer_check(release.number, check.pk, actor=self.actor, result="done")
        approve_all(release)
        release.refresh_from_db()
        return release

    def digests(self) -> dict[str, str]:
        """What each workload asks for now."""
        found = [each for plural in KINDS.values() for each in self.space.find(plural)]
        pods = {each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in found}
        return {name: pod["containers"][0]["image"].partition("@")[2] for name, pod in pods.items()}


@pytest.fixture(scope="module", params=["practice", "real"])
def kubeconfig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cluster after the other."""
    started = _practice(tmp_path_factory.mktemp("plate")) if request.param == "practice" else _real()
    with started as path:
        yield path


@contextlib.contextmanager
def _real() -> Iterator[Path]:
    with ControlPlane() as plane:
        yield plane.kubeconfig


@contextlib.contextmanager
def _practice(folder: Path) -> Iterator[Path]:
    port, registry_port = free_ports(2)
    path = folder / "kubeconfig"
    command = [sys.executable, "-m", "portal.embedded.cluster", "--data", str(folder), "--port", str(port)]
    command += ["--registry-port", str(registry_port), "--kubeconfig", str(path), *QUICK_PODS]
    processes = ProcessGroup(log_folder=folder)
    processes.start("practice-cluster", command)
    try:
        processes.wait_until(path.exists, name="practice-cluster", seconds=30)
        yield path
    finally:
        processes.stop()


@pytest.fixture(params=build.VERSIONS)
def binary(request: pytest.FixtureRequest) -> str:
    """One helm program after the other."""
    return str(build.ensure(request.param))


@pytest.fixture
def plate(
    kubeconfig: Path,
    binary: str,
    transactional_db: None,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Plate]:
    """plate of the examples, taken over by Helm as docs/helm.md says."""
    settings.HELM_BINARY, settings.HELM_CHARTS = binary, str(OVER)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setenv("PRACTICE_REGISTRY_URL", "http://127.0.0.1:1")
    cli = Actor.portal("a test", door="cli")
    load_folder(EXAMPLES, actor=cli)
    load_folder(OVER / "plate", actor=cli)
    _without(Plan.objects.get(name="plate-production"))
    for service in Service.objects.filter(system="plate"):
        service.image = f"{HOST}/plate/{service.name}"
        service.save(update_fields=["image"])
    person("plate-lead", ("team_lead", "team:plate"))
    person("plate-pl", ("pl", "team:plate"))
    person("plate-senior", ("infra_senior", "cluster_group:main"))
    api = from_kubeconfig(kubeconfig)
    assert api is not None
    space = Space(api, NAMESPACE)
    access = read_connection({"kubeconfigRef": f"file:{kubeconfig}"})
    _lay(space)
    for name in ("plate-cache", "plate-api", "plate-llm", "plate-web"):
        _take_over(settings.HELM_BINARY, kubeconfig, name)
    _settle(space)
    manager = person("plate-manager", ("release_manager", "*"))
    yield Plate(space, Helm(binary=settings.HELM_BINARY, access=access, namespace=NAMESPACE), acting(manager))
    api.close()


def _without(plan: Plan) -> None:
    for part in ("before", "each", "after"):
        plan.spec[part] = [step for step in plan.spec[part] if step["kind"] not in OF_REAL_NODES]
    for step in plan.spec["each"]:
        step.pop("settleSeconds", None)
    plan.save(update_fields=["spec"])


def _lay(space: Space) -> None:
    """Make what runs, once per cluster."""
    text = (EXAMPLES / "plate" / "objects.yaml").read_text().replace("registry.practice", HOST)
    for each in yaml.safe_load_all(text):
        path = "api/v1/namespaces" if each["kind"] == "Namespace" else None
        if path is None:
            group = "apis/apps/v1" if each["kind"] in KINDS else "api/v1"
            plural = KINDS.get(each["kind"], "services")
            path = f"{group}/namespaces/{NAMESPACE}/{plural}"
        answer = space.api.ask("POST", path, body=each)
        assert answer.code in {201, 409}, answer.body
        if each["kind"] == "Namespace":
            wait_for(lambda: space.find("serviceaccounts"), what="the namespace's service account")


def _take_over(binary: str, kubeconfig: Path, name: str) -> None:
    """What runs becomes Helm's, by hand and outside the portal; each test begins from here."""
    values = {
        "image.repository": f"{HOST}/plate/{name}",
        "image.digest": digest_for(name, "1.0.0"),
    }
    command = [binary, "upgrade", "--install", "--take-ownership", name, str(OVER / "plate/charts" / name)]
    command += ["--namespace", NAMESPACE, "--kubeconfig", str(kubeconfig)]
    command += [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    if program_version(binary) >= (4,):
        # It would go on patching what Helm 3 had in the test before.
        command += ["--server-side=true", "--force-conflicts"]
    subprocess.run(command, check=True, capture_output=True, text=True)


def _settle(space: Space) -> None:
    def settled() -> bool:
        found = [each for plural in KINDS.values() for each in space.find(plural)]
        return len(found) == 4 and all(
            each.get("status", {}).get("observedGeneration") == each["metadata"]["generation"]
            and each["status"].get("updatedReplicas", each["spec"]["replicas"]) == each["spec"]["replicas"]
            and each["status"].get("availableReplicas") == each["spec"]["replicas"]
            and each["status"].get("replicas") == each["spec"]["replicas"]
            for each in found
        )

    wait_for(settled, what="plate", seconds=90)
