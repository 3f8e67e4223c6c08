"""When a step that waits is looked at by itself: seldom, but in the moment at which something falls due."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from portal import clock
from portal.integrations.kubernetes.trouble import Trouble
from releases.rollouts.steps.evidence import (
    POLL_SECONDS,
    SOONEST_SECONDS,
    poll_seconds,
)

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
