"""A canary's shares as steps: whole pods, never fewer than there were, and all as before at the end."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from releases.catalog import canaries
from releases.rollouts.graph import Node, build_graph
from releases.rollouts.members import Member
from tests.soak import long

WORKLOADS = [{"kind": "Deployment", "name": name, "containers": ["app"]} for name in ("web", "job")]
ROUTE = {"name": "web", "stable": "web", "canary": "web-canary"}
WEB = Member(
    name="web",
    spec={"workloads": WORKLOADS, "canary": {"stable": "web", "canary": "web-canary", "route": ROUTE}},
)
totals = st.integers(2, 1000)
percents = st.integers(1, 99)


def plan(by: str, steps: list[int]) -> dict[str, Any]:
    canary = {"by": by, "steps": steps, "watch": {"minutes": 5}}
    return {"waves": [{"services": ["web"]}], "strategy": "canary", "canary": canary}


@st.composite
def shares(draw: st.DrawFn) -> list[int]:
    """Shares that grow to the whole."""
    return [*sorted(draw(st.sets(percents, max_size=5))), 100]


@given(total=totals, percent=percents)
def test_the_pods_of_both_are_all_there_are_and_come_nearest_to_the_share(total: int, percent: int) -> None:
    canary, stable = canaries.canary_pods(total, percent), canaries.stable_pods(total, percent)
    assert canary >= 1
    assert stable >= 1
    assert total <= canary + stable <= total + 1
    exact = total * percent / 100
    assert canary == 1 or abs(canary - exact) <= 0.5


@given(total=totals, one=percents, other=percents)
def test_a_greater_share_is_never_fewer_pods(total: int, one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert canaries.canary_pods(total, less) <= canaries.canary_pods(total, more)
    assert canaries.carrying_pods(total, less) <= canaries.carrying_pods(total, more)
    assert canaries.carrying_pods(total, more) >= total * more / 100


def test_ten_pods_are_shared_as_people_expect() -> None:
    found = [(canaries.canary_pods(10, share), canaries.stable_pods(10, share)) for share in (10, 20, 50)]
    assert found == [(1, 9), (2, 8), (5, 5)]
    # Half a pod is a whole one.
    assert canaries.canary_pods(10, 25) == 3


def steps_of(by: str, steps: list[int]) -> list[Node]:
    return [node for node in build_graph(plan(by, steps), [WEB]) if node.service == "web"]


@long
@given(steps=shares(), by=st.sampled_from(["pods", "weight"]))
def test_each_share_is_reached_and_watched_before_the_next(steps: list[int], by: str) -> None:
    nodes = steps_of(by, steps)
    watched = [node.params["percent"] for node in nodes if node.kind == "watch"]
    assert watched == steps
    kind = "set_weight" if by == "weight" else "scale"
    given_to = [
        node.params.get("percent") or node.params["share"]["percent"]
        for node in nodes
        if node.kind == kind and not node.params.get("recorded")
    ]
    assert list(dict.fromkeys(given_to)) == steps[:-1]


@long
@given(steps=shares(), by=st.sampled_from(["pods", "weight"]))
def test_the_stable_workload_gets_the_version_last_and_all_is_put_back(steps: list[int], by: str) -> None:
    nodes = steps_of(by, steps)
    sets = [node.params["workload"]["name"] for node in nodes if node.kind == "set_image"]
    assert sets == ["web-canary", "web", "job"]
    last_watch = [node.position for node in nodes if node.kind == "watch"][-2:-1]
    stable = next(node for node in nodes if node.key == "1.web.set_image.web")
    assert all(position < stable.position for position in last_watch)
    back = [node for node in nodes if node.params.get("recorded")]
    assert [node.kind for node in back] == ["set_weight" if by == "weight" else "scale", "scale"]
    assert back[-1].params["workload"]["name"] == "web-canary"
    recorded = {node.kind for node in nodes if node.kind.startswith("record_")}
    assert recorded == {"record_running"} | ({"record_weights"} if by == "weight" else set())


def test_a_service_without_a_canary_goes_out_as_its_plan_says() -> None:
    nodes = build_graph(plan("pods", [10, 100]), [Member(name="web")])
    assert not {node.kind for node in nodes} & {"scale", "watch"}
