"""A watch: green gates until its time is over pass it, a bad one fails it, the rest asks a person."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from releases.catalog import watches
from releases.rollouts import engine
from releases.rollouts.graph import Node
from releases.rollouts.models import Rollout, Step
from releases.rollouts.steps.kind import Outcome, Verdict, done, failed, wait
from releases.rollouts.steps.kinds import KINDS
from tests.factories import Shop, make_rollout
from tests.rollouts.test_measuring import Scripted
from tests.soak import long

UP = done("healthy", args={"status": "UP"})
DOWN = wait("unhealthy", args={"status": "DOWN"})
SLOW = failed("metric_beyond", args={"value": 0.7, "limit": 0.5})
AWAY = wait("no_answer", args={"message": "silence"}, unmeasured=True)
QUIET = Outcome(verdict=Verdict.INCONCLUSIVE, observed={"code": "metric_no_data"})
ENGLISH = {"accept-language": "en"}
GATES = [{"kind": "health"}, {"kind": "prometheus", "title": "Errors", "max": 0.5}]


@pytest.fixture
def health(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """What asks for the health, and says what the test wants; the metric stays good."""
    kind = Scripted("health")
    monkeypatch.setitem(KINDS, "health", kind)
    monkeypatch.setitem(KINDS, "prometheus", Scripted("prometheus"))
    return kind


def watching(shop: Shop, **document: Any) -> Rollout:
    """A rollout that only watches, and has begun to."""
    params = {"minutes": 5, "everySeconds": 60, "gates": GATES, **document}
    seconds = 60 + watches.measured_seconds(params)
    node = Node(key="1.watch", kind="watch", position=0, wave=1, params=params, timeout_seconds=seconds)
    rollout = make_rollout(shop, [node])
    Step.objects.update(service=shop.shopping)
    return later(rollout, 0)


def later(rollout: Rollout, seconds: int) -> Rollout:
    """Let so much time pass, and the engine look again."""

    def earlier(moment: datetime | str) -> datetime:
        return datetime.fromisoformat(str(moment)) - timedelta(seconds=seconds)

    step = rollout.steps.get()
    if step.started_at is not None and step.deadline_at is not None:
        step.started_at, step.deadline_at = earlier(step.started_at), earlier(step.deadline_at)
        step.observed["since"] = step.started_at.isoformat()
        for gate in step.observed["gates"]:
            gate["points"] = [[earlier(at).isoformat(), *rest] for at, *rest in gate["points"]]
        step.wake_at = None
        step.save()
    engine.advance(rollout.pk)
    rollout.refresh_from_db()
    return rollout


def states(rollout: Rollout) -> tuple[str, str]:
    return rollout.steps.get().state, rollout.state


@long
def test_it_passes_when_the_time_is_over_and_every_gate_is_green(shop: Shop, health: Scripted) -> None:
    rollout = watching(shop)
    for _minute in range(4):
        assert states(later(rollout, 60))[0] == "running"
    assert states(later(rollout, 60)) == ("succeeded", "succeeded")
    assert [len(gate["points"]) for gate in rollout.steps.get().observed["gates"]] == [6, 6]
    assert len(health.seen) == 6


def test_between_two_measurements_nobody_is_asked(shop: Shop, health: Scripted) -> None:
    later(watching(shop), 59)
    assert len(health.seen) == 1


def test_without_gates_it_only_holds(shop: Shop) -> None:
    rollout = watching(shop, gates=[])
    assert states(later(rollout, 299))[0] == "running"
    assert states(later(rollout, 1))[0] == "succeeded"


@pytest.mark.parametrize(("limit", "bad", "fails"), [(0, 1, True), (2, 2, False), (2, 3, True)])
def test_it_fails_as_soon_as_more_was_measured_bad_than_it_may(
    shop: Shop, health: Scripted, limit: int, bad: int, fails: bool
) -> None:
    rollout = watching(shop, failureLimit=limit)
    health.next = DOWN
    for _minute in range(bad):
        assert rollout.steps.get().state == "running"
        later(rollout, 60)
    health.next = UP
    assert (states(rollout)[0] == "failed") is fails


def test_one_that_may_be_bad_must_be_green_at_the_end(shop: Shop, health: Scripted) -> None:
    rollout = watching(shop, failureLimit=1)
    health.next = DOWN
    assert states(later(rollout, 300))[0] == "running"
    health.next = UP
    assert states(later(rollout, 60))[0] == "succeeded"


@pytest.mark.parametrize(("look", "state"), [(QUIET, "inconclusive"), (AWAY, "errored")])
def test_without_a_clear_result_at_the_end_a_person_is_asked(
    shop: Shop, health: Scripted, look: Outcome, state: str
) -> None:
    rollout = watching(shop)
    health.next = look
    for seconds in (100, 100, 100):
        assert states(later(rollout, seconds))[0] == "running"
    assert states(later(rollout, 60)) == (state, "paused")


def test_a_result_that_is_unclear_for_a_while_is_no_matter(shop: Shop, health: Scripted) -> None:
    rollout = watching(shop)
    health.next = QUIET
    later(rollout, 100)
    later(rollout, 100)
    health.next = UP
    assert states(later(rollout, 100))[0] == "succeeded"


def test_an_engine_that_was_away_never_takes_silence_for_a_breach(shop: Shop, health: Scripted) -> None:
    rollout = watching(shop)
    health.next = QUIET
    assert states(later(rollout, 3600)) == ("inconclusive", "paused")


def test_a_new_attempt_watches_the_whole_time_again(shop: Shop, health: Scripted) -> None:
    rollout = watching(shop)
    later(rollout, 200)
    step = rollout.steps.get()
    assert step.started_at is not None
    # As after a retry: the row begins anew, what was seen before it is older.
    Step.objects.update(started_at=step.started_at + timedelta(seconds=150), wake_at=None)
    engine.advance(rollout.pk)
    assert [len(gate["points"]) for gate in rollout.steps.get().observed["gates"]] == [1, 1]


@long
def test_page_and_api_show_what_is_measured_and_how_long_it_goes_on(
    shop: Shop, health: Scripted, client: Client
) -> None:
    rollout = watching(shop)
    client.force_login(shop.cast.author)
    page = client.get(f"/rollouts/{rollout.pk}/", headers=ENGLISH).content.decode()
    assert "2 of 2 gates are green" in page
    assert "Errors" in page
    assert "passed" in page
    assert page.count('class="spark"') == 2
    step = client.get(f"/api/v1/rollouts/{rollout.pk}/steps", headers=ENGLISH).json()["items"][0]
    assert [gate["name"] for gate in step["gates"]] == ["Check health", "Errors"]
    assert step["gates"][1]["limit"] == "≤ 0.5"
    health.next = SLOW
    later(rollout, 60)
    page = client.get(f"/rollouts/{rollout.pk}/", headers=ENGLISH).content.decode()
    assert "Check health: Measured 0.7, where 0.5 is the limit" in page
