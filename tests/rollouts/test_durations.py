"""How long it still takes: the median of the plan's last rollouts, without what people were awaited."""

from datetime import datetime, timedelta
from importlib import import_module

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal import clock
from portal.audit.models import AuditEntry
from releases.catalog.models import Environment, Plan
from releases.models import Release
from releases.rollouts import durations, engine, operations
from releases.rollouts.models import Rollout
from releases.rollouts.steps.kind import Outcome, Verdict, wait
from releases.rollouts.steps.kinds import KINDS
from releases.rollouts.steps.notice import Notice
from tests.factories import Shop
from tests.people import acting
from tests.portal.api import ApiClient
from tests.rollouts.past import was_carried_out
from tests.soak import long

MINUTE = 60


@pytest.fixture
def running(notices: Rollout, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    """A rollout under way whose first step takes its time."""
    Release.objects.filter(pk=notices.release_id).update(plan=shop.plan)
    monkeypatch.setattr(Notice, "observe", lambda _kind, _work: wait("made_up", seconds=0))
    return advanced(notices)


def advanced(rollout: Rollout) -> Rollout:
    engine.advance(rollout.pk)
    return Rollout.objects.select_related("release").get(pk=rollout.pk)


def let_pass(rollout: Rollout, *, minutes: float) -> Rollout:
    """As if it had been under way for so much longer by now."""
    since = F("under_way_since") - timedelta(minutes=minutes)
    Rollout.objects.filter(pk=rollout.pk).update(under_way_since=since)
    return Rollout.objects.select_related("release").get(pk=rollout.pk)


def order(rollout: Rollout, kind: str, shop: Shop) -> Rollout:
    operations.give_order(rollout.pk, kind, actor=acting(shop.cast.author))
    return advanced(rollout)


def said(client: Client, rollout: Rollout, shop: Shop, *, part: str = "") -> str:
    client.force_login(shop.cast.author)
    asked = client.get(f"/rollouts/{rollout.pk}/{part}", headers={"accept-language": "en"})
    return asked.content.decode()


def eta(rollout: Rollout, shop: Shop) -> float | None:
    """How many seconds after it went on last the API expects it to be over."""
    told = ApiClient(shop.cast.author).send("GET", f"/rollouts/{rollout.pk}").json()["eta"]
    if told is None:
        return None
    assert rollout.under_way_since is not None
    return round((datetime.fromisoformat(told) - rollout.under_way_since).total_seconds(), 1)


def test_the_time_left_is_the_median_less_what_is_spent(running: Rollout, shop: Shop, client: Client) -> None:
    was_carried_out(running, 2 * MINUTE, 60 * MINUTE, 10 * MINUTE)
    rollout = let_pass(running, minutes=1.5)
    assert "About 9 min left" in said(client, rollout, shop)
    assert "About 9 min left" in said(client, rollout, shop, part="part/")
    assert eta(rollout, shop) == 10 * MINUTE


@long
def test_what_takes_longer_than_usual_is_late(running: Rollout, shop: Shop, client: Client) -> None:
    was_carried_out(running, *[10 * MINUTE] * 3)
    assert "4 min late" in said(client, let_pass(running, minutes=13.5), shop)


@long
@pytest.mark.parametrize(
    ("spent", "words"), [(9.5, "About 1 min left"), (8.5, "About 2 min left"), (10.5, "1 min late")]
)
def test_a_minute_that_has_begun_counts(
    running: Rollout, shop: Shop, client: Client, spent: float, words: str
) -> None:
    was_carried_out(running, *[10 * MINUTE] * 3)
    assert words in said(client, let_pass(running, minutes=spent), shop)


def test_two_rollouts_say_nothing(running: Rollout, shop: Shop, client: Client) -> None:
    was_carried_out(running, 10 * MINUTE, 10 * MINUTE)
    assert "data-left" not in said(client, running, shop)
    assert eta(running, shop) is None


@long
def test_only_the_last_ten_count(running: Rollout) -> None:
    was_carried_out(running, *[100] * 9, *[1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    found = durations.usual(running, "forward")
    assert found == durations.Usual(seconds=5.5, rollouts=10)


@long
def test_only_this_plan_in_this_environment_counts_and_only_what_ended_well(
    running: Rollout, shop: Shop
) -> None:
    was_carried_out(running, 10, 20, 30)
    elsewhere = Environment.objects.create(
        name="elsewhere", system="shop", stage="staging", namespace="x", cluster=shop.environment.cluster
    )
    past = Rollout.objects.filter(state="succeeded")
    past.filter(under_way_seconds=10).update(environment=elsewhere)
    assert durations.usual(running, "forward") is None
    past.update(environment=running.environment)
    past.filter(under_way_seconds=10).update(state="stopped")
    assert durations.usual(running, "forward") is None
    Rollout.objects.filter(under_way_seconds=10).update(state="succeeded")
    assert durations.usual(running, "forward") == durations.Usual(seconds=20, rollouts=3)
    running.release.plan = Plan.objects.create(name="another", spec={})
    assert durations.usual(running, "forward") is None
    running.release.plan = None
    assert durations.usual(running, "forward") is None


@long
def test_a_pause_takes_no_time(running: Rollout, shop: Shop, client: Client) -> None:
    was_carried_out(running, *[10 * MINUTE] * 3)
    paused = order(let_pass(running, minutes=4), "pause", shop)
    assert paused.state == "paused"
    assert "data-left" not in said(client, paused, shop)
    assert eta(paused, shop) is None
    resumed = order(paused, "resume", shop)
    assert paused.under_way_seconds is not None
    assert paused.under_way_seconds >= 4 * MINUTE
    assert eta(resumed, shop) == round(10 * MINUTE - paused.under_way_seconds, 1)


@long
def test_a_way_back_is_counted_and_told_by_itself(
    running: Rollout, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    was_carried_out(running, *[10 * MINUTE] * 3)
    was_carried_out(running, *[3 * MINUTE] * 3, way="back")
    rollout = let_pass(running, minutes=30)
    changed = {"kind": "scale", "intent": {"changes": []}, "params": {"workload": {"name": "x"}}}
    rollout.steps.filter(key="second").update(**changed)
    monkeypatch.setitem(KINDS, "restore_scale", KINDS["notice"])
    back = order(rollout, "rollback", shop)
    assert (back.state, back.under_way_seconds) == ("rolling_back", 0)
    assert eta(back, shop) == 3 * MINUTE


@long
def test_a_rollout_that_ends_leaves_how_long_it_was_under_way(
    running: Rollout, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_pass(running, minutes=5)
    monkeypatch.setattr(Notice, "observe", lambda _kind, _work: Outcome(verdict=Verdict.DONE))
    ended = advanced(running)
    assert ended.state == "succeeded"
    assert ended.under_way_since is None
    assert ended.under_way_seconds is not None
    assert ended.under_way_seconds >= 5 * MINUTE


@long
def test_one_that_an_older_portal_began_is_not_reckoned(running: Rollout, shop: Shop) -> None:
    was_carried_out(running, *[10 * MINUTE] * 3)
    Rollout.objects.filter(pk=running.pk).update(under_way_seconds=None, under_way_since=None)
    paused = order(running, "pause", shop)
    resumed = order(paused, "resume", shop)
    assert (resumed.under_way_seconds, resumed.under_way_since) == (None, None)
    assert eta(resumed, shop) is None


@long
def test_the_time_left_is_asked_for_in_one_query(running: Rollout) -> None:
    was_carried_out(running, *[10] * 12)
    with CaptureQueriesContext(connection) as asked:
        assert durations.due_at(running) is not None
    assert len(asked) == 1


@long
def test_a_rollback_says_how_long_it_takes_and_on_what_that_rests(
    running: Rollout, shop: Shop, client: Client
) -> None:
    change = {"object": "auth-service", "field": "image", "before": "r/a:4.0", "after": "r/a:4.1.0"}
    running.steps.filter(key="first").update(kind="set_image", intent={"changes": [change]})
    let_pass(running, minutes=12)
    panel = said(client, running, shop, part="rollback/")
    assert "fewer than three were rolled back here" in panel
    assert "The way forward took 12 min so far." in panel
    was_carried_out(running, 3 * MINUTE, 4 * MINUTE, 7 * MINUTE, 5 * MINUTE, 1 * MINUTE, way="back")
    panel = said(client, running, shop, part="rollback/")
    assert "It takes about 4 min: the median of the last 5 rollbacks by this plan here." in panel
    assert "fewer than three" not in panel


@long
def test_what_an_older_portal_carried_out_is_counted_from_the_record(notices: Rollout) -> None:
    Rollout.objects.filter(pk=notices.pk).update(state="succeeded", under_way_seconds=None)
    begun = clock.now()
    told = {"running": 1, "paused": 61, "verifying": 601, "awaiting_signoff": 661, "switching": 9_001}
    for state, after in {**told, "succeeded": 9_061}.items():
        AuditEntry.objects.create(
            at=begun + timedelta(seconds=after),
            actor="engine",
            action=f"rollout.{state}",
            subject_kind="rollout",
            subject=str(notices.pk),
            body="{}",
        )
    with connection.cursor() as cursor:
        cursor.execute(import_module("releases.rollouts.migrations.0014_under_way_from_the_record").FILL)
    notices.refresh_from_db()
    assert notices.under_way_seconds == 180
