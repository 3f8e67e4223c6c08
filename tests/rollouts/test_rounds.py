"""Quiet namespaces are read by a thread for each cluster: one that hangs slows no other."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from portal import clock
from portal.errors import PermanentError
from portal.integrations.kubernetes.client import Cluster, Listing
from portal.integrations.kubernetes.connection import Access
from releases.catalog.models import Connection, Environment, Running
from releases.rollouts import rounds
from releases.rollouts.findings.comparing import look
from releases.rollouts.models import Finding, Rollout
from releases.rollouts.rounds import Round, Rounds
from releases.rollouts.running import expect_release
from tests.cluster.objects import wait_for
from tests.factories import Shop, make_release, make_service
from tests.rollouts.test_findings import CALM, service
from tests.soak import long

Json = dict[str, Any]


class Answering:
    """A cluster with the shopping service in it; `bodies` may be changed, and `tell` says so."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[Json]] = {
            "deployments": list(CALM.workloads.values()),
            "pods": CALM.pods,
            "services": [service({"app": "shopping-service"})],
        }
        self.forbidden: set[str] = set()
        self.changed = threading.Event()

    def find(self, plural: str, _namespace: str, *, fields: str = "") -> Listing:
        """What is there now."""
        if plural in self.forbidden:
            raise PermanentError("no right", code="forbidden")
        return Listing(self.bodies.get(plural, []), "1")

    def watch(self, path: str, *, version: str, seconds: int, fields: str = "") -> Iterator[Json]:
        """One change of a Deployment, once there is one."""
        if path.endswith("deployments") and self.changed.wait(timeout=20):
            self.changed.clear()
            yield {"type": "MODIFIED", "object": self.bodies["deployments"][0]}

    def tell(self) -> None:
        """Let the watch see a change."""
        self.changed.set()


class Leads:
    """A watcher that leads everywhere and watches nothing itself."""

    def __init__(self) -> None:
        self.ending = threading.Event()
        self.places: dict[int, Any] = {}

    def leads_for(self, _cluster: str) -> bool:
        """Always."""
        return True


@pytest.fixture
def answering(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    """Two clusters: the first accepts calls and never answers, the second one does."""
    shop.payment.environments.clear()
    shop.auth.environments.clear()
    good = Answering()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dead = Cluster(Access(server=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        lost = Connection.objects.create(name="a-dead-cluster", kind="kubernetes", spec={"dead": True})
        place = {"system": "shop", "stage": "staging", "cluster": lost, "namespace": "shop"}
        environment = Environment.objects.create(name="a-dead-place", **place)
        make_service("lost-service", shop.payment.team, environment)
        monkeypatch.setattr(rounds, "connect", lambda spec: dead if spec.get("dead") else good)
        leader = Leads()
        turns = Rounds(leader)
        turns.begin_missing()
        yield good
        leader.ending.set()
        good.tell()
        for name, thread in ((each.name, each) for each in turns.threads.values()):
            if "dead" not in name:
                thread.join(timeout=10)
    # The dead one's call ends with its time-out; nobody waits for it here.
    connections.close_all()


def row() -> Running | None:
    """What is known of the service on the cluster that answers."""
    return Running.objects.filter(service__name="shopping-service").first()


@long
@pytest.mark.django_db(transaction=True)
def test_a_cluster_that_hangs_keeps_no_other_from_being_read(answering: Answering) -> None:
    wait_for(row, what="the first look", seconds=8)
    answering.bodies["deployments"][0]["spec"]["replicas"] = 4
    answering.tell()

    def seen() -> bool:
        found = row()
        return found is not None and found.seen["workloads"]["Deployment/shopping-service"]["replicas"] == 4

    wait_for(seen, what="the change", seconds=8)
    assert not Running.objects.filter(service__name="lost-service").exists()


@pytest.fixture
def looks(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> tuple[Answering, Callable[..., int]]:
    """A cluster that answers, and a look at its one namespace that says how often it was compared by then."""
    cluster, compared = Answering(), list[int]()
    monkeypatch.setattr(rounds, "connect", lambda _spec: cluster)
    monkeypatch.setattr(rounds, "look", lambda environment, _view, **_age: compared.append(environment.pk))
    turn = Round(Leads(), shop.environment.cluster_id, shop.environment.cluster.name)

    def look(*, told: bool = False) -> int:
        assert turn._look(Environment.objects.get(pk=shop.environment.pk), told=told)
        return len(compared)

    return cluster, look


@pytest.mark.django_db
def test_a_namespace_in_which_nothing_changed_is_read_and_not_compared_again(
    looks: tuple[Answering, Callable[..., int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _cluster, look = looks
    assert [look(), look(), look(told=True)] == [1, 1, 2]
    monkeypatch.setattr(rounds, "COMPARED_SECONDS", 0.0)
    assert look() == 3


@pytest.mark.django_db
@pytest.mark.parametrize("plural", ["deployments", "pods", "services"])
def test_whatever_changed_since_is_compared(plural: str, looks: tuple[Answering, Callable[..., int]]) -> None:
    cluster, look = looks
    look()
    (first, *others) = cluster.bodies[plural]
    cluster.bodies[plural] = [{**first, "metadata": {**first["metadata"], "resourceVersion": "99"}}, *others]
    assert look() == 2
    cluster.bodies[plural] = others
    assert look() == 3


@pytest.mark.django_db
def test_what_the_catalog_says_anew_is_compared(
    shop: Shop, looks: tuple[Answering, Callable[..., int]]
) -> None:
    _cluster, look = looks
    look()
    shop.shopping.spec = {**shop.shopping.spec, "pinned": True}
    shop.shopping.save(update_fields=["spec"])
    assert look() == 2


@pytest.mark.django_db
def test_a_namespace_at_which_the_portal_itself_fails_keeps_no_other_from_being_compared(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"system": "shop", "stage": "staging", "cluster": shop.environment.cluster, "namespace": "other"}
    other = Environment.objects.create(name="another-place", **place)
    compared = list[int]()

    def look(environment: Environment, _view: Any, **_age: float) -> None:
        compared.append(environment.pk)
        if environment.pk == shop.environment.pk:
            raise KeyError("a fault of our own")

    monkeypatch.setattr(rounds, "connect", lambda _spec: Answering())
    monkeypatch.setattr(rounds, "look", look)
    turn = Round(Leads(), shop.environment.cluster_id, shop.environment.cluster.name)
    for environment in (shop.environment, other):
        assert turn._look(environment, told=True)
    assert compared == [shop.environment.pk, other.pk]


@pytest.mark.django_db
def test_an_environment_that_is_no_more_leaves_nothing_behind(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "connect", lambda _spec: Answering())
    monkeypatch.setattr(rounds, "look", lambda *_asked, **_age: None)
    turn = Round(Leads(), shop.environment.cluster_id, shop.environment.cluster.name)
    assert turn._look(shop.environment, told=True)
    turn.due[shop.environment.pk] = 0.0
    monkeypatch.setattr(turn, "_environments", list)
    assert not turn._go_round()
    assert (turn.due, turn.looked, turn.compared) == ({}, {}, {})


class Slow(Answering):
    """One at which something happens after its Deployments were listed."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__()
        self.happens = happens

    def find(self, plural: str, namespace: str, *, fields: str = "") -> Listing:
        """What is there now; the pods come last."""
        if plural == "pods":
            self.happens()
        return super().find(plural, namespace, fields=fields)


@long
def test_what_was_read_before_a_rollout_ended_is_no_finding_after_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.payment.environments.clear()
    shop.auth.environments.clear()
    look(shop.environment, CALM)
    rollout = Rollout.objects.get(release=make_release(shop, at="rolling_out"))

    def end() -> None:
        expect_release(rollout)
        Rollout.objects.update(state="succeeded", ended_at=clock.now())

    monkeypatch.setattr(rounds, "connect", lambda _spec: Slow(end))
    turn = Round(Leads(), shop.environment.cluster_id, shop.environment.cluster.name)

    assert turn._look(shop.environment, told=True)

    assert not Finding.objects.exists()


def test_what_was_read_by_one_that_leads_no_more_is_not_written(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = Leads()

    def lost() -> None:
        monkeypatch.setattr(leader, "leads_for", lambda _cluster: False)

    monkeypatch.setattr(rounds, "connect", lambda _spec: Slow(lost))
    turn = Round(leader, shop.environment.cluster_id, shop.environment.cluster.name)

    turn._look(shop.environment, told=True)

    assert row() is None
