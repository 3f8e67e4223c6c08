"""A freeze that begins in the middle of a rollout, and what goes on in spite of it."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from approvals.calendar import operations as calendar
from approvals.calendar.models import Freeze
from portal import clock
from portal.audit.models import AuditEntry
from releases import operations as release_operations
from releases.models import Release
from releases.rollouts import engine, operations, texts
from releases.rollouts.graph import Node
from releases.rollouts.models import Order, Rollout
from releases.rollouts.steps.kind import ActingKind, Change, Json, Outcome, Work, done, failed
from releases.rollouts.steps.kinds import KINDS
from tests.factories import Shop, make_release
from tests.people import BY_THE_PORTAL, acting
from tests.portal.api import ApiClient
from tests.soak import long

WORKLOAD = {"kind": "Deployment", "name": "shopping-service"}
INCIDENT = {"link": "https://wiki.example/incidents/1", "reason": "Sign-in fails for everybody"}


class Write(ActingKind):
    """A write; before the one of its number the line is stopped."""

    name = "set_image"

    def __init__(self, *, stops_at: str = "a1") -> None:
        self.stops_at = stops_at
        self.acted: list[str] = []
        self.outcome = done()

    def prepare(self, work: Work) -> Change:
        return Change(changes=[])

    def act(self, work: Work, change: Change) -> Json:
        self.acted.append(work.step.key)
        if work.step.key == self.stops_at and not Freeze.objects.exists():
            calendar.stop_line(actor=BY_THE_PORTAL, reason="Payments are lost")
        return {"images": {}, "spec": {}}

    def observe(self, work: Work) -> Outcome:
        return self.outcome


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> Write:
    """The write of every step; what stands in the cluster is as it was left."""
    made = Write()
    monkeypatch.setitem(KINDS, "set_image", made)
    monkeypatch.setattr("releases.rollouts.gates._drift_so_far", lambda _work: None)
    monkeypatch.setattr("releases.rollouts.running.expect_release", lambda _rollout: None)
    nodes = [_node("a1", 1), _node("a2", 1), _node("b", 2, after=("a1", "a2")), _node("c", 3, after=("b",))]
    monkeypatch.setattr(operations, "graph_of", lambda _release: nodes)
    return made


def _node(key: str, wave: int, after: tuple[str, ...] = ()) -> Node:
    return Node(
        key=key, kind="set_image", position=wave, wave=wave, depends_on=after, params={"workload": WORKLOAD}
    )


def started(shop: Shop, number: int) -> Rollout:
    """Start a release and let the engine carry it as far as it goes."""
    rollout = operations.start_rollout(number, actor=acting(shop.cast.author))
    engine.advance(rollout.pk)
    rollout.refresh_from_db()
    return rollout


def ask(rollout: Rollout, kind: str, shop: Shop, **more: Any) -> Any:
    """Ask through the API, and let the engine hear it."""
    path = f"/steps/{more['step']}/{kind}" if "step" in more else f"/{kind}"
    body = {"reason": "because"} if kind != "retry" else None
    answer = ApiClient(shop.cast.author).post(f"/rollouts/{rollout.pk}{path}", body)
    engine.advance(rollout.pk)
    rollout.refresh_from_db()
    return answer


@long
def test_the_running_wave_ends_and_the_rollout_pauses_with_who_may_lift_it(
    shop: Shop, kind: Write, client: Client
) -> None:
    rollout = started(shop, make_release(shop, at="approved").number)
    assert kind.acted == ["a1", "a2"]
    assert (rollout.state, (rollout.pause or {})["reason"]) == ("paused", "freeze")
    with translation.override("en"):
        told = texts.pause(rollout.pause or {})
    assert "Payments are lost" in told
    assert "Director" in told
    client.force_login(shop.cast.author)
    shown = client.get(f"/rollouts/{rollout.pk}/").content.decode()
    assert 'id="bar-resume" aria-disabled="true"' in shown
    assert shown.partition('id="resume-why"')[2].count("Payments are lost") >= 1
    refused = ask(rollout, "resume", shop)
    assert (refused.status_code, refused.json()["code"]) == (409, "frozen")
    assert AuditEntry.objects.filter(action="order.refused").count() == 1
    stop = Freeze.objects.get()
    calendar.lift_freeze(stop.pk, actor=acting(shop.cast.director), reason="Repaired")
    assert ask(rollout, "resume", shop).status_code == 202
    assert kind.acted == ["a1", "a2", "b", "c"]


@long
def test_an_order_given_before_the_freeze_is_refused_when_its_turn_comes(shop: Shop, kind: Write) -> None:
    kind.stops_at = ""
    number = make_release(shop, at="approved").number
    rollout = operations.start_rollout(number, actor=acting(shop.cast.author))
    operations.give_order(rollout.pk, "pause", actor=acting(shop.cast.author))
    engine.advance(rollout.pk)
    operations.give_order(rollout.pk, "resume", actor=acting(shop.cast.author))
    calendar.stop_line(actor=BY_THE_PORTAL, reason="Payments are lost")
    engine.advance(rollout.pk)
    assert Order.objects.get(kind="resume").outcome == "refused: frozen"
    assert kind.acted == []


@long
@pytest.mark.parametrize("order", ["retry", "skip"])
def test_what_stands_still_does_not_go_on_in_a_freeze(shop: Shop, kind: Write, order: str) -> None:
    kind.outcome = failed("timeout")
    rollout = started(shop, make_release(shop, at="approved").number)
    assert rollout.state == "failed"
    step = rollout.steps.get(key="a1")
    refused = ask(rollout, order, shop, step=step.pk)
    assert (refused.status_code, refused.json()["code"]) == (409, "frozen")
    assert kind.acted == ["a1"]


@long
@pytest.mark.parametrize("order", ["stop", "rollback", "pause"])
def test_a_freeze_holds_no_stop_and_no_way_back(shop: Shop, kind: Write, order: str) -> None:
    kind.outcome = failed("timeout") if order != "pause" else done()
    number = make_release(shop, at="approved").number
    if order == "pause":
        calendar.stop_line(actor=BY_THE_PORTAL, reason="x")
        Freeze.objects.update(starts_at=clock.now() + timedelta(hours=1))
        rollout = operations.start_rollout(number, actor=acting(shop.cast.author))
        Freeze.objects.update(starts_at=clock.now() - timedelta(hours=1))
    else:
        rollout = started(shop, number)
    assert ask(rollout, order, shop).status_code == 202
    assert Order.objects.get(kind=order).outcome == "honoured"


@long
def test_a_window_that_closes_lets_the_wave_end_as_well(shop: Shop, kind: Write) -> None:
    kind.stops_at = ""
    number = make_release(shop, at="approved").number
    rollout = operations.start_rollout(number, actor=acting(shop.cast.author))
    soon = (clock.now() + timedelta(hours=2)).replace(minute=0)
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    window = {"days": days, "from": f"{soon:%H:%M}", "to": f"{soon + timedelta(hours=1):%H:%M}"}
    shop.environment.spec = {"windows": [{**window, "timeZone": "UTC"}]}
    shop.environment.save()
    engine.advance(rollout.pk)
    rollout.refresh_from_db()
    assert (rollout.pause or {})["reason"] == "freeze"
    assert kind.acted == []


@long
def test_an_emergency_goes_on_and_is_noted_once(shop: Shop, kind: Write) -> None:
    draft = make_release(shop, grade="E", incident=INCIDENT)
    release_operations.submit_release(draft.number, actor=acting(shop.cast.author))
    rollout = started(shop, draft.number)
    assert kind.acted == ["a1", "a2", "b", "c"]
    (passage,) = Freeze.objects.get().passages.all()
    assert passage.subject == Release.objects.get(pk=draft.pk).subject
    assert AuditEntry.objects.filter(action="freeze.passed", release=draft.number).count() == 1
    assert rollout.state in {"succeeded", "verifying"}
