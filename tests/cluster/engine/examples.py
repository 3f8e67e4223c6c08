"""The reference systems as they are shipped, each on a cluster of its own: practice, or a real control plane.

Beside the real one, what nodes would be is simulated: pods run nothing, are ready at once, and fail where
their image is labelled to; what their applications answer and what the registry holds is the practice
cluster's (controlplane/network.py, controlplane/nodes.py). Controllers, scheduler, API server and its proxy
to pods are the real ones.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from portal.actors import Actor
from portal.errors import PermanentError
from portal.integrations.kubernetes.client import connect
from portal.people.models import Team, User
from releases import gates
from releases import operations as release_operations
from releases.catalog.models import Environment, Plan, Running, Service
from releases.catalog.operations import load_folder
from releases.models import Release
from releases.rollouts import engine, measuring, operations
from releases.rollouts.findings.comparing import look
from releases.rollouts.models import Finding, Rollout
from releases.rollouts.rounds import read_view
from tests.cluster import gateway
from tests.cluster.api import Api, Json, address, from_kubeconfig
from tests.cluster.argo_rollouts import controller
from tests.cluster.conftest import IMAGES, USES_CONTROL_PLANE, practice_cluster
from tests.cluster.controlplane.processes import free_ports
from tests.cluster.controlplane.start import ControlPlane
from tests.cluster.objects import Space, wait_for
from tests.factories import approve_all
from tests.people import acting, person

EXAMPLES = Path(__file__).resolve().parents[3] / "deploy" / "examples"
# The workloads of the examples, by what the API calls a collection of them.
WORKLOADS = {"Deployment": "deployments", "StatefulSet": "statefulsets"}
WATCHED = ("seconds", "everySeconds", "settleSeconds", "stableSeconds")


@dataclass(frozen=True)
class Served:
    """A cluster on which the objects of an example run.

    The certificate that its applications show is `tls.crt` beside the kubeconfig.
    """

    kubeconfig: Path
    registry: str


@dataclass(frozen=True)
class System:
    """An example on its cluster with its catalog, and everybody who may do something about it."""

    kubeconfig: Path
    api: Api
    manager: User
    qa: User

    @property
    def actor(self) -> Actor:
        """The release manager behind the browser."""
        return acting(self.manager)

    def space(self, namespace: str) -> Space:
        """One of its namespaces."""
        return Space(self.api, namespace)

    def release(self, environment: str, versions: Mapping[str, str], *, plan: str = "") -> Release:
        """Compose a release: a version of each service that is named.

        Args:
            plan: which one, where the environment has several.
        """
        items = [{"service": name, "version": version} for name, version in versions.items()]
        data = {"environment": environment, "items": items} | ({"plan": plan} if plan else {})
        return release_operations.create_release(data, actor=self.actor)

    def approve(self, release: Release) -> Release:
        """Submit it, answer and measure what is checked before, and approve it."""
        release_operations.submit_release(release.number, actor=self.actor)
        self.answer(release, "before")
        for gate in gates.measured_now().filter(release=release.number):
            measuring.measure(gate.pk)
        approve_all(release)
        release.refresh_from_db()
        return release

    def start(self, release: Release) -> Rollout:
        """Let it be approved, and start it."""
        return operations.start_rollout(self.approve(release).number, actor=self.actor)

    def answer(self, release: Release, phase: str) -> None:
        """Tick what a person checks in a phase."""
        for check in release.checks.filter(phase=phase, kind="person"):
            who = acting(self.qa) if check.role == "qa" else self.actor
            release_operations.answer_check(release.number, check.pk, actor=who, result="done")

    def back(self, rollout: Rollout) -> Rollout:
        """Ask for the way back."""
        operations.give_order(rollout.pk, "rollback", actor=self.actor)
        return rollout

    def images(self, namespace: str) -> dict[str, set[str]]:
        """What each workload of a namespace asks for now, of its init containers too."""
        space = self.space(namespace)
        found = [each for plural in WORKLOADS.values() for each in space.find(plural)]
        return {each["metadata"]["name"]: _images(each["spec"]["template"]["spec"]) for each in found}


@contextlib.contextmanager
def example_cluster(folder: Path, system: str, *, real: bool = USES_CONTROL_PLANE) -> Iterator[Served]:
    """Start a cluster on which all Deployments and StatefulSets of an example run.

    Args:
        folder: an empty one, for the practice cluster.
        system: the example's folder.
        real: on a control plane, instead of the practice cluster.
    """
    objects = EXAMPLES / system / "objects.yaml"
    bodies = list(yaml.safe_load_all(objects.read_text()))
    with _control_plane(bodies) if real else _practice(folder, objects) as served:
        api = from_kubeconfig(served.kubeconfig)
        assert api is not None
        wanted = sum(each["kind"] in WORKLOADS for each in bodies)
        wait_for(lambda: _run(api, wanted), what=f"the pods of {system}", seconds=60)
        api.close()
        yield served


@contextlib.contextmanager
def furnished(served: Served, patch: pytest.MonkeyPatch) -> Iterator[System]:
    """Load the catalog of all examples, and make the people around it."""
    patch.setenv("KUBECONFIG", str(served.kubeconfig))
    patch.setenv("PRACTICE_REGISTRY_URL", served.registry)
    patch.setenv("PRACTICE_AUTHORITY_FILE", str(served.kubeconfig.with_name("tls.crt")))
    load_folder(EXAMPLES, actor=Actor.portal("a test", door="cli"))
    manager = person("example-manager", ("release_manager", "*"))
    qa = person("example-qa", ("qa", "*"))
    person("example-lead", *(("team_lead", f"team:{each.key}") for each in Team.objects.all()))
    person("example-pl", *(("pl", f"service:{each.name}") for each in Service.objects.all()))
    person("example-senior", ("infra_senior", "cluster_group:main"))
    api = from_kubeconfig(served.kubeconfig)
    assert api is not None
    _look_beside(patch)
    yield System(served.kubeconfig, api, manager, qa)
    api.close()


def _look_beside(patch: pytest.MonkeyPatch) -> None:
    """Look at all namespaces, and at one again after whatever a rollout does there, as the watcher does."""
    advance = engine.advance
    for each in Environment.objects.select_related("cluster"):
        # Other examples ask for kinds that are not installed here.
        with contextlib.suppress(PermanentError):
            _look_at(each)
    assert Running.objects.filter(expected__has_key="workloads").exists(), "nothing would be foreign"

    def advance_and_look(pk: int) -> None:
        advance(pk)
        _look_at(Environment.objects.select_related("cluster").get(rollouts=pk))

    patch.setattr(engine, "advance", advance_and_look)


def _look_at(environment: Environment) -> None:
    look(environment, read_view(connect(environment.cluster.spec), environment))


def foreign_changes() -> list[tuple[str, str]]:
    """What has ever been found that no release approved: the service, and what differs."""
    found = Finding.objects.order_by("pk").select_related("service")
    return [(each.service.name, str(one)) for each in found for one in each.differences]


def shorten(system: str) -> None:
    """Let the plans of a system watch, hold and let settle for a second; all else stays as it is shipped."""
    for plan in Plan.objects.filter(environments__system=system).distinct():
        plan.spec = in_seconds(plan.spec)
        plan.save(update_fields=["spec"])


def in_seconds(spec: Any) -> Any:
    """A plan, or part of it, with a second for each time that it takes by itself; deadlines stay."""
    if isinstance(spec, list):
        return [in_seconds(each) for each in spec]
    if not isinstance(spec, dict):
        return spec
    kept = {name: in_seconds(value) for name, value in spec.items() if name != "minutes"}
    watched = ("seconds", "everySeconds") if "minutes" in spec else ()
    return kept | dict.fromkeys([*watched, *(name for name in WATCHED if name in spec)], 1)


def _images(pod: Json) -> set[str]:
    return {each["image"] for each in (*pod.get("initContainers", []), *pod["containers"])}


@contextlib.contextmanager
def _practice(folder: Path, objects: Path) -> Iterator[Served]:
    [port] = free_ports(1)
    options = ("--manifest", str(objects), "--images", str(IMAGES))
    with practice_cluster(folder, *options, registry_port=port) as kubeconfig:
        yield Served(kubeconfig, f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def _control_plane(bodies: list[Json]) -> Iterator[Served]:
    kinds = {body["kind"] for body in bodies}
    with contextlib.ExitStack() as stack:
        plane = stack.enter_context(ControlPlane(images=IMAGES))
        api = from_kubeconfig(plane.kubeconfig)
        assert api is not None
        stack.callback(api.close)
        if "HTTPRoute" in kinds:
            gateway.install(api)
        if "Rollout" in kinds:
            stack.enter_context(controller.running(api, plane.kubeconfig))
        for body in bodies:
            place = body["metadata"].get("namespace")
            api.create(address(f"{body['kind'].lower()}s", namespace=place), body)
        yield Served(plane.kubeconfig, plane.registry)


def _run(api: Api, wanted: int) -> bool:
    found = [each for plural in WORKLOADS.values() for each in api.get(f"apis/apps/v1/{plural}")["items"]]
    return len(found) == wanted and all(
        each.get("status", {}).get("availableReplicas", 0) == each["spec"]["replicas"] for each in found
    )
