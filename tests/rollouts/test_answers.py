"""What a health answer's JSON must say, at its paths."""

from typing import Any

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from releases.rollouts import texts
from releases.rollouts.steps.answers import at, health_of, unmet
from tests.soak import long


def told(wrong: list[dict[str, Any]]) -> str:
    """What the page of a reader of English says of an answer seen by a worker of another language."""
    with translation.override("en"):
        said = texts.observed({"code": "unhealthy", "args": {"status": "HTTP 200", "unmet": wrong}})
    return said.removeprefix("Not healthy yet: ")


BODY = {"memory": {"percent": 91.5}, "database": {"status": "up"}, "parts": [{"ok": True}], "zero": 0}


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"path": "memory.percent", "below": 92}, ""),
        ({"path": "memory.percent", "below": 85}, "memory.percent is 91.5, not below 85"),
        ({"path": "memory.percent", "above": 95}, "memory.percent is 91.5, not above 95"),
        ({"path": "database.status", "equals": "up"}, ""),
        ({"path": "database.status", "equals": "down"}, "database.status is up, not down"),
        ({"path": "database.status", "below": 1}, "database.status is up, not below 1"),
        ({"path": "parts.0.ok", "equals": True}, ""),
        ({"path": "parts.0.ok", "equals": 1}, "parts.0.ok is true, not 1"),
        ({"path": "parts.0.ok", "below": 2}, "parts.0.ok is true, not below 2"),
        ({"path": "parts.1.ok", "equals": True}, "parts.1.ok is missing"),
        ({"path": "zero", "equals": False}, "zero is 0, not false"),
        ({"path": "redis.status", "equals": "up"}, "redis.status is missing"),
    ],
)
def test_a_value_is_held_against_what_is_expected_there(wanted: dict[str, Any], said: str) -> None:
    assert told(unmet(BODY, [wanted])) == (f"HTTP 200: {said}" if said else "HTTP 200")


def test_everything_that_is_wrong_is_said() -> None:
    both = [{"path": "a", "equals": 1}, {"path": "b", "equals": 1}, {"path": "zero", "equals": 0}]
    assert told(unmet(BODY, both)) == "HTTP 200: a is missing, b is missing"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@long
@given(json_values, st.from_regex(r"[a-z0-9]{1,2}(\.[a-z0-9]{1,2}){0,3}", fullmatch=True), st.integers())
def test_no_answer_is_too_odd_and_what_is_well_is_a_number_below(body: Any, path: str, limit: int) -> None:
    is_well = unmet(body, [{"path": path, "below": limit}]) == []
    found = at(body, path)
    assert is_well == (isinstance(found, int) and not isinstance(found, bool) and found < limit)


def test_however_much_a_pod_says_little_of_it_is_kept() -> None:
    _is_well, said = health_of(
        {"kind": "actuator"}, 200, {"status": "UP password=Zq9hunter2 " + "x" * 100_000}
    )
    assert len(said["status"]) < 100
    assert "Zq9" not in said["status"]
