"""When a cluster's view counts as settled, and when it swings: pure rules."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from releases.rollouts.steps.cluster_view import SHAPES, View, at, judge, read_view, remembered, swings
from tests.soak import long

LIMITS = {"atMost": 2, "withinSeconds": 300}
START = datetime(2026, 1, 5, tzinfo=UTC)
sizes = st.lists(st.integers(0, 20), min_size=1, max_size=20)


def views(*found: int | None, identity: str = "a|1") -> list[View]:
    return [View(pod=f"pod-{at}", size=size, identity=identity) for at, size in enumerate(found)]


@given(found=st.lists(st.none() | st.integers(0, 4), min_size=1, max_size=6), wanted=st.integers(0, 4))
def test_only_every_pod_with_the_expected_size_settles(found: list[int | None], wanted: int) -> None:
    seen = judge(views(*found), wanted=wanted)
    assert (seen["code"] == "view_settled") == (set(found) == {wanted})
    assert (seen["code"] == "view_silent") == (None in found)


def test_the_same_size_of_different_views_is_no_agreement() -> None:
    torn = [*views(3, identity="a|1"), *views(3, identity="b|1")]
    assert judge(torn, wanted=3)["code"] == "view_differs"


def test_nothing_is_added_or_removed_while_it_rebalances() -> None:
    answer = {
        "cluster_health": {
            "health_status": "HEALTHY_REBALANCING",
            "number_of_nodes": 2,
            "node_names": ["a", "b"],
        }
    }
    seen = judge([read_view("pod", answer, SHAPES["infinispan"])], wanted=2)
    assert (seen["code"], seen["args"]["status"]) == ("view_rebalances", "HEALTHY_REBALANCING")
    answer["cluster_health"]["health_status"] = "HEALTHY"
    assert judge([read_view("pod", answer, SHAPES["infinispan"])], wanted=2)["code"] == "view_settled"


def history(found: Sequence[int], *, apart: float = 1.0) -> list[list[Any]]:
    kept: list[list[Any]] = []
    for place, size in enumerate(found):
        now = START + timedelta(seconds=place * apart)
        kept = remembered(kept, judge(views(size), wanted=3), now, limits=LIMITS)
    return kept


@given(found=sizes, down=st.booleans())
def test_a_cluster_that_only_grows_or_only_shrinks_never_swings(found: list[int], *, down: bool) -> None:
    assert not swings(history(sorted(found, reverse=down)), limits=LIMITS)


@given(found=sizes)
def test_it_swings_with_more_returns_than_allowed(found: list[int]) -> None:
    steps = [size for place, size in enumerate(found) if place == 0 or size != found[place - 1]]
    returns = sum(size in steps[:place] for place, size in enumerate(steps))
    assert swings(history(found), limits=LIMITS) == (returns if returns > LIMITS["atMost"] else 0)


def test_what_is_long_ago_is_forgotten_but_since_when_it_stands_is_not() -> None:
    assert not swings(history([3, 2] * 10, apart=200.0), limits=LIMITS)
    [standing] = history([3] * 10, apart=200.0)
    assert standing[0] == START.isoformat()


@long
@given(
    body=st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    path=st.text(),
)
def test_an_answer_of_any_shape_is_read_without_a_fault(body: Any, path: str) -> None:
    at(body, path)
    assert read_view("pod", body, SHAPES["jgroups"]).pod == "pod"


def test_however_much_a_pod_says_little_of_it_is_kept_and_another_view_is_another() -> None:
    def told(name: str) -> View:
        health = {"number_of_nodes": 2, "node_names": ["x" * 100_000, name], "health_status": "y" * 100_000}
        return read_view("pod-0", {"cluster_health": health}, SHAPES["infinispan"])

    assert len(told("a").identity) + len(told("a").health) < 300
    assert told("a").identity == told("a").identity != told("b").identity
