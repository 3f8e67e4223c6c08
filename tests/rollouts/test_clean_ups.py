"""A clean-up that does not go well is a warning with a retry: nothing is held up, or rolled back, for it."""

import json
from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import translation

from portal.audit.models import AuditEntry
from portal.errors import Conflict
from portal.live.models import Event
from releases.models import Release
from releases.rollouts import engine, operations, texts
from releases.rollouts.graph import Node, build_graph
from releases.rollouts.members import Member
from releases.rollouts.models import Rollout
from releases.rollouts.steps.kind import Outcome, Verdict, Work, done, failed, wait
from releases.rollouts.steps.notice import Notice
from tests.factories import Shop, make_release, roll_out
from tests.people import acting
from tests.portal.api import ApiClient
from tests.soak import long

KEYS = ("switch", "shrink", "last")
Found = dict[str, Outcome]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Found:
    """What looks at steps come to, by key; done where nothing is said."""
    made: Found = {"shrink": failed("forbidden", "no right")}

    def observe(_kind: Notice, work: Work) -> Outcome:
        return made.get(work.step.key, done())

    monkeypatch.setattr(Notice, "observe", observe)
    return made


@pytest.fixture
def begin(shop: Shop) -> Callable[[], Rollout]:
    """Starts a rollout of three steps, the second of which clears away, and lets the engine have its say."""

    def make() -> Rollout:
        rollout = roll_out(make_release(shop, at="approved"), shop)
        nodes = [
            Node(
                key=key,
                kind="notice",
                position=at,
                service="shopping-service",
                wave=1,
                depends_on=KEYS[:at][-1:],
                params={"section": "wave", **({"cleanup": True} if key == "shrink" else {})},
            )
            for at, key in enumerate(KEYS)
        ]
        operations.write_steps(rollout, nodes)
        return advanced(rollout)

    return make


def advanced(rollout: Rollout) -> Rollout:
    engine.advance(rollout.pk)
    return Rollout.objects.select_related("release").get(pk=rollout.pk)


def states(rollout: Rollout) -> list[str]:
    return [each.state for each in rollout.steps.order_by("position")]


@long
@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.ERRORED, Verdict.INCONCLUSIVE])
def test_the_rollout_goes_on_and_succeeds_and_says_so_everywhere(
    shop: Shop, begin: Callable[[], Rollout], found: Found, client: Client, verdict: Verdict
) -> None:
    shop.plan.spec["onFailure"] = "rollback"
    shop.plan.save(update_fields=["spec"])
    found["shrink"] = Outcome(verdict=verdict, failure={"code": "forbidden", "message": "no right"})
    rollout = begin()
    assert (rollout.state, states(rollout)) == ("succeeded", ["succeeded", str(verdict), "succeeded"])
    assert not rollout.orders.exists()
    words = "The cluster refuses: no right: no right"
    api = ApiClient(shop.cast.author).send("GET", f"/rollouts/{rollout.pk}").json()
    assert [each["key"] for each in api["warnings"]] == ["shrink"]
    client.force_login(shop.cast.author)
    page = client.get(f"/rollouts/{rollout.pk}/", headers={"accept-language": "en"}).content.decode()
    assert f"Clean-up that did not go well: shopping-service: Send the notice: {words}" in page
    assert api["progress"] == {"done": 3, "total": 3}
    assert "step-bad" not in page
    event = Event.objects.get(topic=rollout.topic, kind=f"step.{verdict}")
    with translation.override("en"):
        assert "a clean-up, which holds nothing up" in texts.event(event)
    with translation.override("ko"):
        assert "clean-up" not in texts.event(event)
    entry = AuditEntry.objects.get(action=f"step.{verdict}", release=rollout.release_id)
    assert json.loads(entry.body)["after"]["cleanup"] is True


@long
def test_it_can_be_tried_again_after_the_end_and_the_release_stays_where_it_is(
    shop: Shop, begin: Callable[[], Rollout], found: Found, client: Client
) -> None:
    rollout = begin()
    before = rollout.release.state
    step = rollout.steps.get(key="shrink")
    client.force_login(shop.cast.author)
    page = client.get(f"/rollouts/{rollout.pk}/").content.decode()
    assert f'id="retry-{step.pk}"' in page
    found["shrink"] = done()
    assert client.post(f"/rollouts/{rollout.pk}/steps/{step.pk}/retry/").status_code == 302
    rollout = advanced(rollout)
    assert (rollout.state, states(rollout)) == ("succeeded", ["succeeded"] * 3)
    assert Release.objects.get(pk=rollout.release_id).state == before
    assert ApiClient(shop.cast.author).send("GET", f"/rollouts/{rollout.pk}").json()["warnings"] == []


@long
@pytest.mark.parametrize("paused", [False, True])
def test_to_stop_it_then_fails_no_release_that_was_carried_out(
    shop: Shop, begin: Callable[[], Rollout], found: Found, paused: bool
) -> None:
    rollout = begin()
    before = rollout.release.state
    step = rollout.steps.get(key="shrink")
    found["shrink"] = wait("settling", seconds=60)
    operations.give_order(rollout.pk, "retry", actor=acting(shop.cast.author), step_id=step.pk)
    assert advanced(rollout).state == "running"
    if paused:
        operations.give_order(rollout.pk, "pause", actor=acting(shop.cast.author))
        assert advanced(rollout).state == "paused"
    operations.give_order(rollout.pk, "stop", actor=acting(shop.cast.author))
    rollout = advanced(rollout)
    assert (rollout.state, states(rollout)) == ("stopped", ["succeeded", "cancelled", "succeeded"])
    assert rollout.release.state == before


@long
def test_no_other_step_is_tried_again_after_the_end(
    shop: Shop, begin: Callable[[], Rollout], found: Found
) -> None:
    found.clear()
    rollout = begin()
    last = rollout.steps.get(key="last")
    with pytest.raises(Conflict):
        operations.give_order(rollout.pk, "retry", actor=acting(shop.cast.author), step_id=last.pk)


def test_shrinking_what_was_live_is_a_clean_up_only_once_the_traffic_has_left_it() -> None:
    shrink = {"kind": "scale", "service": "web", "colour": "live", "replicas": [2, 0]}
    switch = {"kind": "switch_service", "service": "web", "colour": "idle"}
    workloads = [{"name": f"web-{colour}", "colour": colour} for colour in ("blue", "green")]
    web = Member(
        name="web", spec={"workloads": workloads, "colours": {"label": "color", "services": ["web"]}}
    )
    plan = {
        "waves": [{"services": ["web"], "before": [{**shrink, "replicas": 5}], "after": [switch, shrink]}],
        "each": [{"kind": "set_image", "colour": "idle"}],
    }
    marks = [bool(each.params.get("cleanup")) for each in build_graph(plan, [web]) if each.kind == "scale"]
    assert marks == [False, True, True]


def test_the_canarys_own_return_is_a_clean_up() -> None:
    spec = {"canary": {"stable": "web", "canary": "web-canary"}}
    web = Member(name="web", spec={**spec, "workloads": [{"name": "web"}]})
    canary = {"by": "pods", "steps": [50, 100], "watch": {"minutes": 1}}
    nodes = build_graph({"waves": [{"services": ["web"]}], "canary": canary}, [web])
    assert [each.key for each in nodes if each.params.get("cleanup")] == ["1.web.canary.100.scale"]
