"""When a step that waits is looked at by itself: seldom, but in the moment at which something falls due."""

import math
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from portal import clock
from portal.integrations.kubernetes.trouble import Trouble
from releases.rollouts.steps.evidence import (
    EARLY_SECONDS,
    EARLY_UNTIL_SECONDS,
    POLL_SECONDS,
    SOONEST_SECONDS,
    early,
    poll_seconds,
)
from releases.rollouts.steps.kind import Json, Outcome, Verdict

NOW = datetime(2026, 3, 2, tzinfo=UTC)
seconds = some.floats(0, 4000)


def poll(waited: float, timeout: float | None, final_in: float | None = None) -> float:
    """When a step is looked at again that has waited so long and fails after so long."""
    started = NOW - timedelta(seconds=waited)
    deadline = None if timeout is None else started + timedelta(seconds=timeout)
    work: Any = SimpleNamespace(step=SimpleNamespace(started_at=started, deadline_at=deadline))
    wrong = None if final_in is None else Trouble(code="Unschedulable", message="", after_seconds=final_in)
    with clock.counting_on(NOW):
        return poll_seconds(work, wrong)


def look(age: float, *, kept: Json | None = None, left: float | None = None, **step: Any) -> Outcome | None:
    """What a look without pods comes to, so long after the change."""
    changed = NOW - timedelta(seconds=age)
    deadline = None if left is None else NOW + timedelta(seconds=left)
    usual = {"started_at": changed, "acted_at": None, "attempt": 1, "observed": kept or {}}
    work: Any = SimpleNamespace(step=SimpleNamespace(deadline_at=deadline, **{**usual, **step}))
    with clock.counting_on(NOW):
        return early(work, {"code": "waits_updated", "ready": 0, "wanted": 3})


just_now = some.floats(0, EARLY_SECONDS - 0.01)


@given(just_now, some.none() | some.floats(0.3, 4000))
def test_right_after_a_change_its_pods_are_left_alone_for_a_second_at_most(
    age: float, left: float | None
) -> None:
    found = look(age, left=left)
    assert found is not None
    assert found.verdict == Verdict.WAIT
    assert found.wake_seconds <= min(EARLY_UNTIL_SECONDS - age, left or math.inf)


@given(just_now)
def test_what_an_earlier_look_saw_of_the_pods_is_kept(age: float) -> None:
    pods = {"sights": {"web-1": {}}, "ready_since": {"web-1": "x"}, "flaps": True, "baseline": {"web-1": 2}}
    found = look(age, kept={**pods, "code": "waits_observed", "ready": 9})
    assert found is not None
    assert found.observed == {**pods, "code": "waits_updated", "ready": 0, "wanted": 3}


@given(some.floats(EARLY_SECONDS + 0.01, 4000), just_now)
def test_after_that_and_after_a_retry_they_are_asked(late: float, age: float) -> None:
    assert look(late) is None
    assert look(age, attempt=2) is None
    assert look(age, acted_at=NOW - timedelta(seconds=late)) is None


@given(some.floats(0.01, 4000))
def test_a_clock_that_went_back_keeps_nothing_from_being_asked(seconds_back: float) -> None:
    assert look(-seconds_back) is None


@given(seconds, some.none() | seconds, some.none() | seconds)
def test_it_is_never_long_and_never_without_a_pause(
    waited: float, timeout: float | None, final_in: float | None
) -> None:
    assert SOONEST_SECONDS <= poll(waited, timeout, final_in) <= POLL_SECONDS


@given(seconds, some.floats(0.5, 60), some.floats(0.5, 60))
def test_a_deadline_and_a_trouble_that_becomes_final_are_met(
    waited: float, left: float, final_in: float
) -> None:
    assert poll(waited, waited + left) <= left
    assert poll(waited, None, final_in) <= final_in


@given(seconds)
def test_what_is_past_hurries_nothing(waited: float) -> None:
    assert poll(waited + 1, waited, 0.0) == POLL_SECONDS
