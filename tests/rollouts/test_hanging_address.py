"""An address that hangs costs a worker a tenth of its time, and is asked again before the time is over."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from portal import clock
from releases.rollouts.steps.health import ANSWER_SECONDS, ASK_SECONDS, LEFT_ALONE, _rest

NOW = datetime(2026, 3, 2, tzinfo=UTC)
in_vain = some.floats(0, ANSWER_SECONDS)


def rest(waited: float, left: float | None = None) -> float:
    """How long it is left alone after a call in vain, so long before the end of the step's time."""
    deadline = None if left is None else NOW + timedelta(seconds=left)
    step: Any = SimpleNamespace(deadline_at=deadline)
    with clock.counting_on(NOW):
        return _rest(step, waited=waited)


@given(in_vain)
def test_it_costs_a_tenth_of_a_worker_at_most(waited: float) -> None:
    assert waited / (waited + rest(waited)) <= 1 / (1 + LEFT_ALONE) + 1e-9


def test_one_that_refuses_at_once_is_asked_again_at_once() -> None:
    assert rest(0.001) == ASK_SECONDS


@given(in_vain, some.floats(ANSWER_SECONDS + 2 * ASK_SECONDS + 0.1, 4000))
def test_there_is_time_for_one_more_answer_before_the_end(waited: float, left: float) -> None:
    assert ASK_SECONDS <= rest(waited, left) <= left - ANSWER_SECONDS


@given(in_vain, some.floats(-100, ANSWER_SECONDS))
def test_at_the_end_it_is_looked_at_again_soon(waited: float, left: float) -> None:
    assert rest(waited, left) == ASK_SECONDS
