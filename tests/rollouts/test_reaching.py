"""Pause, resume and stop go to a canary of Argo Rollouts as well: once, reported, and never in the way."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from portal import clock, jobs
from portal.audit.models import AuditEntry
from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.errors import unreachable
from portal.integrations.kubernetes.workloads import Reference, Workload
from releases.rollouts import engine, leases, operations, reaching, release_side, stop_points, stumbles
from releases.rollouts.drift import find_drift
from releases.rollouts.graph import Node
from releases.rollouts.models import Order, Rollout
from releases.rollouts.steps.kind import Change, Json, Work, wait
from releases.rollouts.steps.set_image import SetImage
from releases.rollouts.steps.wait_rollout import WaitRollout
from tests.factories import Shop, make_rollout
from tests.people import acting
from tests.portal.api import ApiClient
from tests.soak import long

pytestmark = long
WORKLOAD = {"kind": "Rollout", "name": "web"}
TEMPLATE: Json = {"spec": {"containers": [{"name": "web", "image": "registry.test/web:2"}]}}


class Died(BaseException):
    """The worker's death: nothing of ours catches it."""


class OneCanary:
    """A cluster with one Rollout, whose controller takes up what is written when it is told to."""

    def __init__(self) -> None:
        self.body: Json = {
            "kind": "Rollout",
            "metadata": {"name": "web", "namespace": "shop", "generation": 2, "resourceVersion": "1"},
            "spec": {"template": TEMPLATE, "strategy": {"canary": {"steps": [{"setWeight": 20}]}}},
            "status": {
                "observedGeneration": "2",
                "phase": "Progressing",
                "stableRS": "old",
                "currentPodHash": "new",
            },
        }
        self.writes: list[Json] = []
        self.broken: list[Exception] = []

    def workload(self, _reference: Reference) -> Workload:
        return Workload({**self.body})

    def change(self, _plural: str, _seen: Json, body: Json, *, part: str = "") -> Json:
        if self.broken:
            raise self.broken.pop()
        self.writes.append(body)
        for field in ("spec", "status") if not part else (part,):
            self._merge(self.body[field], body.get(field, {}))
        notes = self.body["metadata"].setdefault("annotations", {})
        self._merge(notes, body.get("metadata", {}).get("annotations", {}))
        if "spec" in body:
            self.body["metadata"]["generation"] += 1
        return self.body

    def _merge(self, target: Json, change: Json) -> None:
        for key, value in change.items():
            target.pop(key, None) if value is None else target.update({key: value})

    def takes_up(self, phase: str, message: str = "") -> None:
        generation = str(self.body["metadata"]["generation"])
        self.body["status"] |= {"observedGeneration": generation, "phase": phase, "message": message}


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> OneCanary:
    """The cluster of the test's rollouts; looks at workloads only wait."""
    made = OneCanary()
    monkeypatch.setattr(reaching, "connect", lambda _spec: made)
    monkeypatch.setattr(WaitRollout, "observe", lambda _kind, _work: wait("made_up", seconds=60))
    return made


@pytest.fixture
def rollout(shop: Shop, canary: OneCanary, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    """A rollout that has set the image of a Rollout, and waits for its canary; it is always approved."""
    monkeypatch.setattr(release_side, "missing_for", lambda _release, **_more: [])
    service = shop.shopping.name
    nodes = [
        Node(key="set", kind="set_image", position=0, service=service, params={"workload": WORKLOAD}),
        Node(key="wait", kind="wait_rollout", position=1, service=service, params={"workload": WORKLOAD}),
    ]
    made = make_rollout(shop, nodes)
    spec = canary.workload(Reference("Rollout", "shop", "web")).spec
    made.steps.filter(key="set").update(
        state="succeeded", intent={"changes": []}, acted={"spec": spec, "images": {}}
    )
    Rollout.objects.filter(pk=made.pk).update(state="running", started_at=clock.now())
    made.steps.filter(key="wait").update(state="running", started_at=clock.now())
    made.refresh_from_db()
    return made


def ask(rollout: Rollout, shop: Shop, kind: str) -> Order:
    """Give an order, and let a worker hear it."""
    order = operations.give_order(rollout.pk, kind, actor=acting(shop.cast.author), reason="lunch")
    return hear(rollout, order)


def hear(rollout: Rollout, order: Order) -> Order:
    """Let a worker go on, after whatever the last one held."""
    Rollout.objects.filter(pk=rollout.pk).update(lease_until=None)
    engine.advance(rollout.pk)
    rollout.refresh_from_db()
    order.refresh_from_db()
    return order


def foreign(rollout: Rollout, canary: OneCanary) -> str:
    """The field that the rollout takes for somebody else's change; empty where it finds none."""
    acted = rollout.steps.get(key="set").acted or {}
    seen = canary.workload(Reference("Rollout", "shop", "web"))
    found = find_drift(seen, acted["spec"], uid="", scaled_by_others=False)
    return found.field if found else ""


def states(order: Order) -> list[tuple[str, str]]:
    return [(each["act"], each["state"]) for each in (order.reach or {"targets": []})["targets"]]


def test_a_pause_holds_the_canary_and_is_reported_once_its_controller_has_taken_it_up(
    rollout: Rollout, shop: Shop, canary: OneCanary
) -> None:
    order = ask(rollout, shop, "pause")
    assert (rollout.state, canary.body["spec"]["paused"]) == ("paused", True)
    assert (states(order), order.honoured_at) == ([("hold", "written")], None)
    canary.takes_up("Paused", "manually paused")
    hear(rollout, order)
    assert (states(order), order.outcome) == ([("hold", "reached")], "honoured")
    assert len(canary.writes) == 1
    # What the portal wrote itself is no foreign change.
    assert foreign(rollout, canary) == ""
    entry = AuditEntry.objects.get(action="order.honoured", release=rollout.release_id)
    assert '"act":"hold"' in entry.body.replace(" ", "")


def test_a_resume_takes_only_the_portals_own_pause_away(
    rollout: Rollout, shop: Shop, canary: OneCanary
) -> None:
    ask(rollout, shop, "pause")
    canary.takes_up("Paused", "manually paused")
    order = hear(rollout, ask(rollout, shop, "resume"))
    assert (rollout.state, states(order)) == ("running", [("let_go", "reached")])
    assert "paused" not in canary.body["spec"]
    assert canary.body["metadata"]["annotations"] == {}
    assert foreign(rollout, canary) == ""
    ask(rollout, shop, "pause")
    # Somebody else pauses it, and says so by taking the portal's mark away.
    canary.body["metadata"]["annotations"] = {}
    assert foreign(rollout, canary) == "spec.paused"
    order = hear(rollout, ask(rollout, shop, "resume"))
    assert canary.body["spec"]["paused"] is True
    assert states(order) == [("let_go", "unneeded")]


def test_a_stop_aborts_a_canary_under_way_and_lets_it_go(
    rollout: Rollout, shop: Shop, canary: OneCanary
) -> None:
    ask(rollout, shop, "pause")
    canary.takes_up("Paused", "manually paused")
    order = ask(rollout, shop, "stop")
    assert (rollout.state, canary.body["status"]["abort"]) == ("stopping", True)
    hear(rollout, order)
    canary.takes_up("Degraded", "RolloutAborted: gave up")
    hear(rollout, order)
    assert (rollout.state, states(order)) == ("stopped", [("abort", "reached")])
    assert "paused" not in canary.body["spec"]
    assert [set(each) - {"metadata"} for each in canary.writes] == [{"spec"}, {"status"}, {"spec"}]


def test_a_canary_at_its_end_is_neither_held_nor_aborted(
    rollout: Rollout, shop: Shop, canary: OneCanary
) -> None:
    canary.body["status"] |= {"stableRS": "new", "phase": "Healthy"}
    order = ask(rollout, shop, "stop")
    assert (rollout.state, states(order), canary.writes) == ("stopped", [("abort", "unneeded")], [])


def test_an_abort_waits_for_a_controller_that_has_not_seen_the_new_template(
    rollout: Rollout, shop: Shop, canary: OneCanary
) -> None:
    canary.body["status"]["observedGeneration"] = "1"
    order = ask(rollout, shop, "stop")
    assert (states(order), canary.writes) == ([("abort", "asked")], [])
    canary.takes_up("Progressing")
    assert states(hear(rollout, order)) == [("abort", "written")]


def test_nothing_begins_while_a_stop_waits_behind_a_resume_that_is_on_its_way(
    rollout: Rollout, shop: Shop, canary: OneCanary, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def begins(_kind: SetImage, work: Work, _change: Change) -> Json:
        begun.append(work.step.key)
        return {}

    monkeypatch.setattr(SetImage, "prepare", lambda _kind, _work: Change(changes=[]))
    monkeypatch.setattr(SetImage, "act", begins)
    ask(rollout, shop, "pause")
    canary.takes_up("Paused", "manually paused")
    engine.advance(rollout.pk)
    other = {"kind": "Deployment", "name": "other"}
    rollout.steps.create(key="other", kind="set_image", state="ready", wave=2, params={"workload": other})
    resume = operations.give_order(rollout.pk, "resume", actor=acting(shop.cast.author))
    # Somebody else stops it at the same moment: both are there when a worker looks.
    stop = ask(rollout, shop, "stop")
    resume.refresh_from_db()
    assert states(resume) == [("let_go", "written")]
    assert (rollout.state, begun, stop.honoured_at) == ("running", [], None)
    hear(rollout, stop)
    assert (rollout.state, begun, states(stop)) == ("stopping", [], [("abort", "asked")])


def test_a_worker_that_dies_after_the_write_writes_no_second_time(
    rollout: Rollout, shop: Shop, canary: OneCanary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(name: str, *, kind: str = "") -> None:
        if (name, kind) == ("after_act", "hold"):
            raise Died

    with monkeypatch.context() as patched:
        patched.setattr(stop_points, "reach", die)
        with pytest.raises(Died):
            ask(rollout, shop, "pause")
    canary.takes_up("Paused", "manually paused")
    order = hear(rollout, Order.objects.get(rollout=rollout))
    assert (states(order), len(canary.writes)) == ([("hold", "reached")], 1)
    assert foreign(rollout, canary) == ""


def test_a_worker_that_another_has_overtaken_since_its_look_writes_nothing(
    rollout: Rollout, shop: Shop, canary: OneCanary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(_reference: Reference) -> Workload:
        Rollout.objects.filter(pk=rollout.pk).update(lease_until=None)
        leases.take(rollout.pk)
        return Workload({**canary.body})

    # The other one may have held it and let it go again: a late hold would stay for ever.
    monkeypatch.setattr(canary, "workload", overtaken)
    ask(rollout, shop, "pause")
    assert canary.writes == []


def test_a_write_that_crosses_the_controllers_is_made_again(
    rollout: Rollout, shop: Shop, canary: OneCanary
) -> None:
    canary.broken = [TemporaryError("changed meanwhile", code="conflict")] * 2
    assert states(ask(rollout, shop, "pause")) == [("hold", "written")]


@pytest.mark.parametrize(
    ("error", "after"),
    [(PermanentError("no right", code="forbidden"), 0), (TemporaryError("away", code="unreachable"), 61)],
)
def test_what_cannot_be_reached_keeps_no_stop_from_ending_and_is_told(
    rollout: Rollout, shop: Shop, canary: OneCanary, client: Client, error: Any, after: int
) -> None:
    shop.shopping.title = "Shopping"
    shop.shopping.save(update_fields=["title"])
    canary.broken = [error] * 3
    order = ask(rollout, shop, "stop")
    if after:
        assert (rollout.state, states(order)) == ("stopping", [("abort", "asked")])
        assert order.reach is not None
        since = clock.now() - timedelta(seconds=after)
        Order.objects.filter(pk=order.pk).update(reach={**order.reach, "since": since.isoformat()})
        hear(rollout, order)
    assert (rollout.state, states(order)) == ("stopped", [("abort", "unreached")])
    shown = ApiClient(shop.cast.author).send("GET", f"/rollouts/{rollout.pk}").json()["orders"][0]
    target = shown["reached"][0]
    assert (target["service"], target["message"]) == (shop.shopping.name, str(error.detail))
    client.force_login(shop.cast.author)
    page = client.get(f"/rollouts/{rollout.pk}/", headers={"accept-language": "en"}).content.decode()
    assert f"rollout/web could not be aborted in the cluster: {error.detail}" in page


def test_what_a_korean_worker_met_an_english_reader_reads_in_english(
    rollout: Rollout, shop: Shop, canary: OneCanary
) -> None:
    away = unreachable("https://k8s", OSError("refused"))
    canary.broken = [PermanentError(away.detail, code="forbidden")]
    with translation.override("ko"):
        order = ask(rollout, shop, "stop")
    assert states(order) == [("abort", "unreached")]
    answer = ApiClient(shop.cast.author).get(f"/rollouts/{rollout.pk}", accept_language="en").json()
    [target] = answer["orders"][0]["reached"]
    assert target["message"] == "The cluster at https://k8s does not answer: OSError: refused"
    answer = ApiClient(shop.cast.author).get(f"/rollouts/{rollout.pk}", accept_language="ko").json()
    assert "응답하지 않습니다" in answer["orders"][0]["reached"][0]["message"]


@pytest.mark.parametrize(
    ("kind", "state", "act"), [("stop", "stopped", "abort"), ("pause", "paused", "hold")]
)
def test_where_the_portal_itself_fails_at_a_canary_the_order_ends_all_the_same(
    rollout: Rollout,
    shop: Shop,
    canary: OneCanary,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    state: str,
    act: str,
) -> None:
    # The runner would close the connection that has the test's transaction.
    monkeypatch.setattr(jobs, "refresh", lambda **_how: None)
    canary.broken = [KeyError("a fault of our own")] * 9
    order = operations.give_order(rollout.pk, kind, actor=acting(shop.cast.author))
    for _round in range(stumbles.MOST):
        Rollout.objects.filter(pk=rollout.pk).update(lease_until=None)
        with pytest.raises(KeyError):
            jobs.run(operations.ADVANCE, rollout.pk)
    hear(rollout, order)
    assert (rollout.state, states(order), order.outcome) == (state, [(act, "unreached")], "honoured")
    assert rollout.stumble is None


def test_what_only_a_newer_worker_can_do_in_the_cluster_is_left_to_it(
    rollout: Rollout, shop: Shop, canary: OneCanary
) -> None:
    order = ask(rollout, shop, "pause")
    assert order.reach is not None
    [target] = order.reach["targets"]
    of_tomorrow = {**order.reach, "targets": [{**target, "act": "of_tomorrow", "state": "asked"}]}
    Order.objects.filter(pk=order.pk).update(reach=of_tomorrow)
    order = hear(rollout, order)
    assert (states(order), order.honoured_at) == ([("of_tomorrow", "asked")], None)
    assert (rollout.stumble, rollout.lease_until) == (None, None)
    assert rollout.wake_at is not None
