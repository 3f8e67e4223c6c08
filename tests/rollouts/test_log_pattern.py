"""Patterns in logs: found without going back, judged over all pods, never by what a mask hides."""

import re

from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from releases.rollouts import texts
from releases.rollouts.steps.kind import Verdict
from releases.rollouts.steps.log_pattern import Log, judge
from releases.rollouts.steps.log_patterns import matches

letters = st.text("ab*", max_size=8)


@given(pattern=letters, line=st.text("ab", max_size=12))
def test_a_star_stands_for_anything_and_all_else_for_itself(pattern: str, line: str) -> None:
    expression = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert matches(pattern, line) == bool(re.search(expression, line))


def test_no_pattern_goes_back_and_forth_on_a_line() -> None:
    # With an expression of the same meaning this would not end in anybody's lifetime.
    assert not matches("*".join("a" * 100), "a" * 99)
    assert not matches("*".join(["ab"] * 66), "a" * 4_000)


def logs(*lines: list[str] | None) -> list[Log]:
    return [Log(pod=f"web-{at}", container="app", lines=found, why="away") for at, found in enumerate(lines)]


def test_one_forbidden_line_fails_with_its_pod_and_the_line() -> None:
    outcome = judge(
        logs(["ready"], ["ready", "ERROR: no connection to db-1"]),
        forbid=["ERROR*connection"],
        require=["ready"],
    )
    assert outcome.verdict == Verdict.FAILED
    assert outcome.failure is not None
    assert (outcome.failure["pod"], outcome.failure["log"]) == ("web-1", ["ERROR: no connection to db-1"])
    with translation.override("en"):
        assert "“ERROR*connection”" in texts.failure(outcome.failure)


def test_it_waits_until_every_pod_has_said_what_it_must() -> None:
    outcome = judge(logs(["ready"], ["starting"]), forbid=[], require=["ready"])
    assert (outcome.verdict, outcome.observed["code"]) == (Verdict.WAIT, "log_lacks")
    assert outcome.observed["args"]["names"] == "web-1"
    assert judge(logs(["ready"], ["ready"]), forbid=["ERROR"], require=["ready"]).verdict == Verdict.DONE


def test_what_cannot_be_read_is_not_measured_and_no_pods_say_nothing() -> None:
    assert judge(logs(["ready"], None), forbid=["ERROR"], require=[]).observed["unmeasured"] is True
    assert judge([], forbid=["ERROR"], require=[]).observed["undecided"] is True
    assert judge(logs(["ERROR"], None), forbid=["ERROR"], require=[]).verdict == Verdict.FAILED
