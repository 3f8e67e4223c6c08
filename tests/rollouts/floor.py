"""A small system on a cluster of the test: services, a plan, and releases of it that are approved."""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

from portal import jobs
from portal.actors import Actor
from portal.integrations.registry.client import Resolved
from portal.live.models import Event
from releases import operations as release_operations
from releases.catalog import rights
from releases.catalog.models import Connection, Environment, Plan, Service
from releases.models import Release
from releases.rollouts import engine, operations
from releases.rollouts.models import Order, Rollout, Step
from tests.cluster.objects import Space, deployment
from tests.factories import RESOLVE, Shop, approve_all, make_service, make_shop
from tests.people import acting, person

Json = dict[str, Any]
# The workloads of tests have no probes: where success is not the matter they need not be watched any longer.
EACH: tuple[Json, ...] = (
    {"kind": "set_image"},
    {"kind": "wait_rollout", "timeoutSeconds": 60, "settleSeconds": 0},
)
PATIENCE_SECONDS = 30.0


def digest_for(name: str, version: str) -> str:
    """A digest that nobody else has."""
    return f"sha256:{hashlib.sha256(f'{name}:{version}'.encode()).hexdigest()}"


def made_up(service: Service, version: str) -> Resolved:
    """An image that no registry knows: simulated nodes pull nothing."""
    digest = digest_for(service.name, version)
    return Resolved(digest=digest, accepted=frozenset({digest}), version=version)


class NotReached(AssertionError):
    """The rollout did not come to the state that a test waits for."""


@dataclass
class Floor:
    """What a test works on: one Deployment with the container `web` per service, in `space`."""

    shop: Shop
    space: Space
    environment: Environment
    plan: Plan
    services: dict[str, Service] = field(default_factory=dict)
    resolve: Callable[[Service, str], Resolved] = made_up

    @property
    def actor(self) -> Actor:
        """Somebody who may start, operate and stop."""
        return acting(self.shop.cast.author)

    def release(self, version: str = "2.0.0", *, services: Iterable[str] = ()) -> Release:
        """Make an approved release of the services, all of them by default."""
        items = [{"service": name, "version": version} for name in services or self.services]
        data = {
            "title": f"Release {version}",
            "environment": self.environment.name,
            "plan": self.plan.name,
            "items": items,
            "changes": [],
            "facts": {},
        }
        with mock.patch(RESOLVE, self.resolve):
            release = release_operations.create_release(data, actor=self.actor)
            release = release_operations.submit_release(release.number, actor=self.actor)
        approve_all(release)
        release.refresh_from_db()
        return release

    def start(self, version: str = "2.0.0", *, services: Iterable[str] = ()) -> Rollout:
        """Start the rollout of a new approved release."""
        return operations.start_rollout(self.release(version, services=services).number, actor=self.actor)

    def order(self, rollout: Rollout, kind: str, *, step: Step | None = None, reason: str = "") -> Order:
        """Ask something of the rollout."""
        step_id = step.pk if step else None
        return operations.give_order(rollout.pk, kind, actor=self.actor, reason=reason, step_id=step_id)

    def image(self, name: str) -> str:
        """What the Deployment of a service asks for now."""
        template = self.space.get("deployments", name)["spec"]["template"]
        return str(template["spec"]["containers"][0]["image"])

    def wanted(self, name: str, version: str) -> str:
        """What the Deployment of a service asks for once that version is rolled out."""
        service = self.services[name]
        return f"{service.image}@{self.resolve(service, version).digest}"


def lay(
    space: Space,
    kubeconfig: Path,
    *,
    services: Sequence[str] = ("api",),
    waves: Sequence[Sequence[str]] = (),
    each: Sequence[Json] = EACH,
    before: Sequence[Json] = ({"kind": "access_check"},),
    after: Sequence[Json] = (),
    objects: Mapping[str, Json] | None = None,
    unsettled: Sequence[str] = (),
    name: str = "floor",
    shop: Shop | None = None,
) -> Floor:
    """Put the services into the cluster and the catalog, and wait until they run.

    Args:
        waves: names by wave; one wave with all of them by default.
        objects: the Deployment of a service, where it is not the plain one.
        unsettled: services that do not come to run.
        name: what the system is called.
        shop: whose people work on it; one of its own by default.
    """
    shop = shop or make_shop()
    cluster = Connection.objects.create(
        name=f"{name}-cluster", kind="kubernetes", spec={"kubeconfigRef": f"file:{kubeconfig}"}
    )
    environment = Environment.objects.create(
        name=f"{name}-production", system=name, stage="production", cluster=cluster, namespace=space.name
    )
    spec = {
        "expectedMinutes": 5,
        "before": list(before),
        "waves": [
            {"title": f"Wave {n}", "services": list(names)} for n, names in enumerate(waves or [services], 1)
        ],
        "each": [dict(one) for one in each],
        "after": list(after),
    }
    plan = Plan.objects.create(name=f"{name}-plan", spec=spec)
    plan.environments.add(environment)
    floor = Floor(shop, space, environment, plan)
    for service in services:
        floor.services[service] = _service(floor, service)
        plain = deployment(service, image=f"registry.test/floor/{service}:1.0.0")
        space.create((objects or {}).get(service) or plain)
    person(f"{name}-pl", *(("pl", f"service:{service}") for service in services))
    rights.grant()
    for service in set(services) - set(unsettled):
        space.settle(service)
    return floor


def pinned(name: str = "api") -> dict[str, Json]:
    """A service's Deployment with its image pinned: where nodes report no digest, that says what runs."""
    image = f"registry.test/floor/{name}:1.0.0@{digest_for(name, '1.0.0')}"
    return {name: deployment(name, image=image)}


def _service(floor: Floor, name: str) -> Service:
    service = make_service(name, floor.shop.shopping.team, floor.environment)
    service.spec = {"workloads": [{"kind": "Deployment", "name": name, "containers": ["web"]}]}
    # No registry is asked for this host: simulated nodes run whatever they are told.
    service.image = f"registry.test/floor/{name}"
    service.save(update_fields=["spec", "image"])
    return service


def drive(rollout: Rollout, *states: str, seconds: float = PATIENCE_SECONDS) -> Rollout:
    """Advance the rollout in this process until it stands in one of the states."""
    deadline = time.monotonic() + seconds
    while True:
        engine.advance(rollout.pk)
        rollout.refresh_from_db()
        if rollout.state in states:
            return rollout
        if time.monotonic() > deadline:
            steps = [(each.key, each.state, each.observed, each.failure) for each in rollout.steps.all()]
            raise NotReached(f"{rollout.state}, not {states}: {rollout.pause} {steps}")
        time.sleep(0.05)


def until(rollout: Rollout, *states: str, seconds: float = PATIENCE_SECONDS) -> Rollout:
    """Wait until others have brought the rollout to one of the states; sweep as the sweeper would."""
    deadline = time.monotonic() + seconds
    while rollout.state not in states:
        if time.monotonic() > deadline:
            raise NotReached(f"{rollout.state}, not {states}")
        jobs.sweep_once()
        time.sleep(0.2)
        rollout.refresh_from_db()
    return rollout


def kinds(rollout: Rollout) -> list[str]:
    """The kinds of the rollout's events, in their order."""
    return list(Event.objects.filter(topic=rollout.topic).order_by("number").values_list("kind", flat=True))


def longest_silence(rollout: Rollout) -> float:
    """The longest time between two events of the rollout, in seconds by the database's clock."""
    times = list(Event.objects.filter(topic=rollout.topic).order_by("number").values_list("at", flat=True))
    return max((later - earlier).total_seconds() for earlier, later in pairwise(times))


def why(rollout: Rollout) -> str:
    """What a rollout says that did not end as it should: its pause, and its steps that are not done."""
    steps = rollout.steps.exclude(state__in=("succeeded", "waiting"))
    told = [(step.key, step.state, step.attempt, step.observed, step.failure) for step in steps]
    return f"{rollout.state}: {rollout.pause} {told}"


def states(rollout: Rollout) -> dict[str, str]:
    """Every step's state by its key."""
    return dict(rollout.steps.values_list("key", "state"))
