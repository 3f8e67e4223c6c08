"""Temporary errors: how long they are borne, and what becomes of the step when they are not over."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portal.errors import TemporaryError
from releases.rollouts.models import Step
from releases.rollouts.outcomes import LOST_SECONDS, of_temporary
from releases.rollouts.steps.kind import Outcome, Verdict

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def meet(code: str, *, tries: int = 0, after: float = 0, acting: bool = True, **more: Any) -> Outcome:
    """One more error of this kind, `after` seconds into a step of a minute."""
    observed = {"lost_since": START.isoformat()} if after else {}
    step = Step(kind="set_image", tries=tries, observed=observed, deadline_at=START + timedelta(seconds=60))
    error = TemporaryError("the cluster's words", code=code, **more)
    return of_temporary(step, error, acting=acting, now=START + timedelta(seconds=after))


@pytest.mark.parametrize("code", ["unreachable", "unavailable", "server_error", "too_many_requests"])
def test_the_waits_grow_and_the_words_are_shown_at_once(code: str) -> None:
    found = [meet(code, tries=tries, retry_in=0.5) for tries in range(3)]
    seconds = [each.wake_seconds for each in found]
    assert seconds == sorted(seconds)
    assert seconds[0] < 2
    assert all(each.verdict == Verdict.WAIT for each in found)
    assert found[0].observed["args"] == {"message": "the cluster's words"}


def test_what_the_server_asks_to_wait_is_waited() -> None:
    assert meet("too_many_requests", retry_in=30).wake_seconds == 30


def test_a_conflict_is_read_again_at_once_and_given_up_in_the_end() -> None:
    assert meet("conflict", retry_in=0.1).wake_seconds == 0.1
    last = meet("conflict", tries=9)
    assert last.verdict == Verdict.FAILED
    assert last.failure == {"code": "conflict", "message": "the cluster's words"}


def test_a_write_that_the_server_cannot_take_fails_within_seconds() -> None:
    waits = [meet("server_error", tries=tries, retry_in=0.5) for tries in range(3)]
    assert sum(each.wake_seconds for each in waits) < 10
    assert meet("server_error", tries=3).verdict == Verdict.FAILED


@pytest.mark.parametrize("code", ["unreachable", "unavailable"])
def test_a_lost_cluster_is_borne_for_two_minutes_and_then_a_person_is_asked(code: str) -> None:
    assert meet(code, tries=20, after=LOST_SECONDS - 1).verdict == Verdict.WAIT
    found = meet(code, tries=20, after=LOST_SECONDS)
    assert found.verdict == Verdict.HOLD
    assert found.hold is not None
    assert found.hold["reason"] == "cluster_lost"
    assert found.hold["args"]["message"] == "the cluster's words"


def test_looks_bear_a_servers_errors_as_long_as_its_silence() -> None:
    assert meet("server_error", tries=10, after=30, acting=False).verdict == Verdict.WAIT
