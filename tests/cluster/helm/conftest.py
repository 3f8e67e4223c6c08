"""plate under Helm 3 and 4 as it is delivered, on the practice cluster and on the real control plane.

On the real one nodes are simulated (tests/cluster/engine/examples.py); on both, what settles takes a second,
and nothing else is changed of the plan.
"""

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from portal.actors import Actor
from portal.embedded.cluster.images import Images
from portal.integrations.helm.client import Helm, program_version
from portal.integrations.kubernetes.connection import read_connection
from releases.catalog.models import Service
from releases.catalog.operations import load_folder
from releases.models import Release
from tests.cluster.conftest import IMAGES
from tests.cluster.engine.examples import (
    EXAMPLES,
    WORKLOADS,
    Served,
    System,
    example_cluster,
    furnished,
    shorten,
)
from tests.cluster.helm import build
from tests.cluster.objects import Space, wait_for

OVER = EXAMPLES.parent / "examples-helm"
NAMESPACE = "plate-prod"
OLD = {"plate-cache": "7.4.1", "plate-api": "1.8.2", "plate-llm": "0.9.3", "plate-web": "1.25.1"}
NEW = {"plate-cache": "7.4.2", "plate-api": "1.9.0", "plate-llm": "0.10.0", "plate-web": "1.26.0"}


@dataclass(frozen=True)
class Plate:
    """The running system under Helm: its old version is what each release deployed last."""

    system: System
    helm: Helm

    @property
    def space(self) -> Space:
        """Where it runs."""
        return self.system.space(NAMESPACE)

    @property
    def actor(self) -> Actor:
        """Its release manager."""
        return self.system.actor

    def release(self, versions: Mapping[str, str] = NEW) -> Release:
        """An approved release of all four services."""
        return self.system.approve(self.system.release("plate-production", versions))

    def digests(self) -> dict[str, str]:
        """What each workload asks for now."""
        found = self.system.images(NAMESPACE)
        return {name: image.partition("@")[2] for name, [image] in found.items()}


def digests_of(versions: Mapping[str, str]) -> dict[str, str]:
    """By which the registry knows the versions of the services."""
    offered = Images.load(IMAGES).tags
    return {name: offered[_repository(name)][version].digest for name, version in versions.items()}


def _repository(name: str) -> str:
    return Service.objects.get(name=name).image.partition("/")[2]


@pytest.fixture(scope="module", params=["practice", "real"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One cluster after the other."""
    folder = tmp_path_factory.mktemp("plate")
    with example_cluster(folder, "plate", real=request.param == "real") as made:
        yield made


@pytest.fixture(params=build.VERSIONS)
def binary(request: pytest.FixtureRequest) -> str:
    """One helm program after the other."""
    return str(build.ensure(request.param))


@pytest.fixture
def plate(
    served: Served,
    binary: str,
    transactional_db: None,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Plate]:
    """plate of the examples, taken over by Helm as docs/helm.md says."""
    settings.HELM_BINARY, settings.HELM_CHARTS = binary, str(OVER)
    with furnished(served, monkeypatch) as system:
        load_folder(OVER / "plate", actor=Actor.portal("a test", door="cli"))
        shorten("plate")
        for name, digest in digests_of(OLD).items():
            _take_over(binary, served.kubeconfig, name, digest)
        _settle(system.space(NAMESPACE))
        access = read_connection({"kubeconfigRef": f"file:{served.kubeconfig}"})
        yield Plate(system, Helm(binary=binary, access=access, namespace=NAMESPACE))


def _take_over(binary: str, kubeconfig: Path, name: str, digest: str) -> None:
    """What runs becomes Helm's, by hand and outside the portal; each test begins from here."""
    values = {"image.repository": Service.objects.get(name=name).image, "image.digest": digest}
    command = [binary, "upgrade", "--install", "--take-ownership", name, str(OVER / "plate/charts" / name)]
    command += ["--namespace", NAMESPACE, "--kubeconfig", str(kubeconfig)]
    command += [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    if program_version(binary) >= (4,):
        # It would go on patching what Helm 3 had in the test before.
        command += ["--server-side=true", "--force-conflicts"]
    subprocess.run(command, check=True, capture_output=True, text=True)


def _settle(space: Space) -> None:
    def settled() -> bool:
        found = [each for plural in WORKLOADS.values() for each in space.find(plural)]
        return len(found) == 4 and all(
            each.get("status", {}).get("observedGeneration") == each["metadata"]["generation"]
            and each["status"].get("updatedReplicas", each["spec"]["replicas"]) == each["spec"]["replicas"]
            and each["status"].get("availableReplicas") == each["spec"]["replicas"]
            and each["status"].get("replicas") == each["spec"]["replicas"]
            for each in found
        )

    wait_for(settled, what="plate", seconds=90)
