"""portal-universe on a practice cluster of the test: objects, images, catalog and people of the examples."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

from portal.actors import Actor
from portal.people.models import User
from releases import gates
from releases import operations as release_operations
from releases.catalog.operations import load_folder
from releases.models import Release
from releases.rollouts import measuring
from tests.cluster.api import Api, from_kubeconfig
from tests.cluster.controlplane.processes import ProcessGroup, free_ports
from tests.cluster.objects import Space
from tests.factories import approve_all
from tests.people import acting, person

EXAMPLES = Path(__file__).resolve().parents[2] / "deploy" / "examples"
SYSTEM = "portal-universe"
TEAMS = ("platform", "commerce", "content", "frontend")
BACKEND = (
    "config-service",
    "auth-service",
    "shopping-service",
    "blog-service",
    "notification-service",
    "api-gateway",
)
FRONTEND = ("design-system", "portal-shell", "blog-frontend", "shopping-frontend")
QUICK = (
    "--pull-seconds",
    "0.1",
    "--start-seconds",
    "0.1",
    "--ready-seconds",
    "0.2",
    "--terminate-seconds",
    "0.1",
)


@dataclass(frozen=True)
class Universe:
    """The running system: its namespace, and who may do what."""

    space: Space
    manager: User
    kubeconfig: Path

    @property
    def actor(self) -> Actor:
        """The release manager behind the browser."""
        return acting(self.manager)

    def release(
        self, version: str, *, services: Sequence[str] = (*BACKEND, *FRONTEND), **named: str
    ) -> Release:
        """Compose, submit, check and approve; `named` gives single services another version."""
        versions = dict.fromkeys(services, version) | {
            key.replace("_", "-"): tag for key, tag in named.items()
        }
        data = {
            "environment": "portal-universe-production",
            "items": [{"service": name, "version": tag} for name, tag in versions.items()],
        }
        release = release_operations.create_release(data, actor=self.actor)
        release_operations.submit_release(release.number, actor=self.actor)
        for check in release.checks.filter(phase="before", kind="person"):
            who = acting(User.objects.get(username="universe-qa")) if check.role == "qa" else self.actor
            release_operations.answer_check(release.number, check.pk, actor=who, result="done")
        for gate in gates.measured_now().filter(release=release.number):
            measuring.measure(gate.pk)
        approve_all(release)
        release.refresh_from_db()
        return release

    def images(self) -> dict[str, str]:
        """What each Deployment asks for now."""
        return {
            each["metadata"]["name"]: each["spec"]["template"]["spec"]["containers"][0]["image"]
            for each in self.space.find("deployments")
        }


@contextlib.contextmanager
def cluster_of_universe(
    folder: Path,
    *,
    times: Sequence[str] = QUICK,
    system: str = SYSTEM,
    namespace: str = SYSTEM,
    deployments: int = 10,
) -> Iterator[tuple[Path, str]]:
    """Start a practice cluster on which an example runs; gives kubeconfig and registry address.

    Args:
        system: the example's folder.
        namespace: where so many Deployments have to run first.
    """
    port, registry_port = free_ports(2)
    kubeconfig = folder / "kubeconfig"
    command = [sys.executable, "-m", "portal.embedded.cluster", "--data", str(folder), "--port", str(port)]
    command += ["--registry-port", str(registry_port), "--kubeconfig", str(kubeconfig)]
    command += [
        "--manifest",
        str(EXAMPLES / system / "objects.yaml"),
        "--images",
        str(EXAMPLES / "images.yaml"),
    ]
    processes = ProcessGroup(log_folder=folder)
    processes.start("practice-cluster", [*command, *times])
    try:
        processes.wait_until(
            lambda: _runs(kubeconfig, namespace, deployments), name="practice-cluster", seconds=60
        )
        yield kubeconfig, f"http://127.0.0.1:{registry_port}"
    finally:
        processes.stop()


def furnish(kubeconfig: Path, registry: str, patch: pytest.MonkeyPatch) -> Universe:
    """Load the catalog and the people around it."""
    patch.setenv("KUBECONFIG", str(kubeconfig))
    patch.setenv("PRACTICE_REGISTRY_URL", registry)
    load_folder(EXAMPLES, actor=Actor.portal("a test", door="cli"))
    manager = person("universe-manager", ("release_manager", "*"))
    person("universe-qa", ("qa", "*"))
    person("universe-lead", *(("team_lead", f"team:{team}") for team in TEAMS))
    person("universe-senior", ("infra_senior", "cluster_group:main"))
    api = from_kubeconfig(kubeconfig)
    assert api is not None
    return Universe(Space(api, SYSTEM), manager, kubeconfig)


def _runs(kubeconfig: Path, namespace: str, deployments: int) -> bool:
    api = from_kubeconfig(kubeconfig) if kubeconfig.exists() else None
    try:
        return api is not None and _all_ready(api, namespace, deployments)
    except urllib3.exceptions.HTTPError:
        return False


def _all_ready(api: Api, namespace: str, deployments: int) -> bool:
    answer = api.ask("GET", f"apis/apps/v1/namespaces/{namespace}/deployments")
    found = answer.body.get("items") or []
    return len(found) == deployments and all(
        each.get("status", {}).get("availableReplicas", 0) == each["spec"]["replicas"] for each in found
    )
