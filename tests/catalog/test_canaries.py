"""A canary's shares as steps: whole pods, never fewer than there were, and the whole at the end.

A canary that hands over leaves all as it was; of two colours that take turns the canary stays.
"""

from itertools import pairwise
from random import Random
from typing import Any

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from portal.errors import Invalid
from releases.catalog import canaries
from releases.catalog.wording import canary_text
from releases.rollouts.graph import Node, build_graph
from releases.rollouts.members import Member
from releases.rollouts.models import Step
from releases.rollouts.rollback import in_order_of_return
from releases.rollouts.tables import UNDONE_BY
from tests.soak import long

WORKLOADS = [{"kind": "Deployment", "name": name, "containers": ["app"]} for name in ("web", "job")]
ROUTE = {"name": "web", "stable": "web", "canary": "web-canary"}
WEB = Member(
    name="web",
    spec={"workloads": WORKLOADS, "canary": {"stable": "web", "canary": "web-canary", "route": ROUTE}},
)
IN_TURNS = Member(
    name="web",
    spec={
        "workloads": [{"kind": "Deployment", "name": f"web-{c}", "colour": c} for c in ("blue", "green")],
        "colours": {"by": "pods"},
    },
)
MEMBERS = st.sampled_from([WEB, IN_TURNS])
totals = st.integers(2, 1000)
percents = st.integers(1, 99)


def plan(by: str, steps: list[int], *, watched: bool = True) -> dict[str, Any]:
    canary: dict[str, Any] = {"by": by, "steps": steps}
    if watched:
        canary["watch"] = {"minutes": 5}
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


def steps_of(by: str, steps: list[int], *, watched: bool = True, member: Member = WEB) -> list[Node]:
    return [node for node in build_graph(plan(by, steps, watched=watched), [member]) if node.service == "web"]


def all_before(nodes: list[Node], key: str) -> set[str]:
    """The keys of all steps that are over before this one begins."""
    direct = next(node.depends_on for node in nodes if node.key == key)
    own = {node.key for node in nodes}
    return {*direct, *(found for each in direct if each in own for found in all_before(nodes, each))}


def is_canary(node: Node) -> bool:
    """Whether a step is about the workload that gets the version first."""
    if "colour" in node.params:
        return bool(node.params["colour"] == "idle")
    return bool(node.params["workload"]["name"] == "web-canary")


def sizes_of(node: Node, total: int) -> dict[str, int]:
    """What a step makes of the pods of the two workloads, when the canary rests without any."""
    if node.kind != "scale":
        return {}
    name = "canary" if is_canary(node) else "stable"
    if node.params.get("recorded"):
        return {name: total if name == "stable" else 0}
    shared = canaries.stable_pods if name == "stable" else canaries.canary_pods
    return {name: shared(total, node.params["share"]["percent"])}


@long
@given(steps=shares(), by=st.sampled_from(["pods", "weight"]))
def test_each_share_is_reached_and_watched_before_the_next(steps: list[int], by: str) -> None:
    nodes = steps_of(by, steps)
    watched = [node.params["percent"] for node in nodes if node.kind == "watch"]
    assert watched == steps
    reaching = {percent: reached_by(nodes, by, percent) for percent in steps[:-1]}
    for before, percent in pairwise(steps[:-1]):
        for key in reaching[percent]:
            assert f"1.web.canary.{before}.watch" in all_before(nodes, key)
    for percent, keys in reaching.items():
        assert set(keys) < all_before(nodes, f"1.web.canary.{percent}.watch")


@long
@given(steps=shares(), by=st.sampled_from(["pods", "weight"]))
def test_without_a_watch_a_share_goes_on_where_the_one_before_has_its_pods(steps: list[int], by: str) -> None:
    nodes = steps_of(by, steps, watched=False)
    assert "watch" not in {node.kind for node in nodes}
    for before, percent in pairwise(steps[:-1]):
        grown, led = reached_by(nodes, by, percent)
        # The pods of this share come beside the last of the one before, and nothing goes for them earlier.
        assert reached_by(nodes, by, before)[0] in all_before(nodes, grown)
        assert {*reached_by(nodes, by, before), grown} <= all_before(nodes, led)
    whole = all_before(nodes, "1.web.set_image.web")
    assert {key for percent in steps[:-1] for key in reached_by(nodes, by, percent)} <= whole


def reached_by(nodes: list[Node], by: str, percent: int) -> list[str]:
    """The steps that give the canary a share: first its pods, then what leads to them."""
    found = [
        f"1.web.canary.{percent}.scale",
        f"1.web.canary.{percent}.{'stable' if by == 'pods' else 'weight'}",
    ]
    assert set(found) <= {node.key for node in nodes}
    return found


def found(node: Node) -> dict[str, Any]:
    """What a step is about, once it was found which workload rests."""
    about = "workload" in node.params or "colour" in node.params
    names = {"workload": {"name": "canary" if is_canary(node) else "stable"}} if about else {}
    pair = {"stable": "stable", "canary": "canary"}
    share = {"share": {**node.params["share"], **pair}} if "share" in node.params else {}
    return {**node.params, **names, **share}


def taken_back(nodes: list[Node]) -> list[Step]:
    """The changing steps of these in the order in which they are taken back."""
    return in_order_of_return(
        Step(pk=node.position + 1, kind=node.kind, position=node.position, wave=node.wave, params=found(node))
        for node in nodes
        if node.kind in UNDONE_BY
    )


class Course:
    """A rollout whose steps take their time: pods that go are gone at once, those that come are late."""

    def __init__(self, nodes: list[Node], total: int) -> None:
        self.nodes = {node.key: node for node in nodes}
        self.total = total
        self.wanted = {"stable": total, "canary": 0}
        self.sure = dict(self.wanted)
        self.begun: list[str] = []
        self.over: set[str] = set()

    def move(self, turns: Random) -> None:
        """Begin a step whose time has come, or end one."""
        free = [
            key
            for key, node in self.nodes.items()
            if key not in self.over | {*self.begun} and {*node.depends_on} & self.nodes.keys() <= self.over
        ]
        key = turns.choice([*free, *self.begun])
        sizes = sizes_of(self.nodes[key], self.total)
        if key in free:
            # No two steps write one size at a time.
            assert not any(sizes.keys() & self._sizes(each).keys() for each in self.begun)
            self.begun.append(key)
            self.wanted |= sizes
            self.sure |= {name: min(self.sure[name], size) for name, size in sizes.items()}
        else:
            self.begun.remove(key)
            self.over.add(key)
            self.sure |= sizes
        assert sum(self.sure.values()) >= self.total

    def take_back(self) -> None:
        """Take back what was begun, one after the other, each waited for."""
        done = [node for key, node in self.nodes.items() if key in self.over | {*self.begun}]
        for step in taken_back(done):
            if step.kind == "scale":
                is_stable = step.params["workload"]["name"] == "stable"
                self.sure |= {"stable": self.total} if is_stable else {"canary": 0}
                assert sum(self.sure.values()) >= self.total

    def _sizes(self, key: str) -> dict[str, int]:
        return sizes_of(self.nodes[key], self.total)


@long
@given(steps=shares(), watched=st.booleans(), total=totals, member=MEMBERS, turns=st.randoms())
def test_there_are_never_fewer_pods_than_at_the_start_whatever_takes_its_time(
    steps: list[int], watched: bool, total: int, member: Member, turns: Random
) -> None:
    course = Course(steps_of("pods", steps, watched=watched, member=member), total)
    while len(course.over) < len(course.nodes):
        course.move(turns)
    whole = {"stable": 0, "canary": total} if member is IN_TURNS else {"stable": total, "canary": 0}
    assert course.sure == course.wanted == whole


@long
@given(
    steps=shares(),
    watched=st.booleans(),
    total=totals,
    member=MEMBERS,
    turns=st.randoms(),
    moves=st.integers(0, 80),
)
def test_nor_are_there_fewer_when_it_is_taken_back_in_the_middle(
    steps: list[int], watched: bool, total: int, member: Member, turns: Random, moves: int
) -> None:
    course = Course(steps_of("pods", steps, watched=watched, member=member), total)
    for _move in range(moves):
        if len(course.over) < len(course.nodes):
            course.move(turns)
    course.take_back()
    assert course.sure == {"stable": total, "canary": 0}


@pytest.mark.parametrize("place", ["after", "switch"])
def test_a_size_of_its_own_that_follows_is_taken_back_with_the_canary_that_has_all_pods(place: str) -> None:
    larger = {"kind": "scale", "service": "web", "colour": "idle", "replicas": 12}
    spec = plan("pods", [50, 100])
    if place == "after":
        spec["waves"][0]["after"] = [larger]
    else:
        spec["switch"] = [{"steps": [larger]}]
    sizes = [step for step in taken_back(build_graph(spec, [IN_TURNS])) if step.kind == "scale"]
    assert [step.params["workload"]["name"] for step in sizes] == ["stable", "canary"]


@given(steps=shares(), watched=st.booleans(), member=MEMBERS)
def test_what_carries_the_first_share_is_whole_before_a_pod_goes_for_it(
    steps: list[int], watched: bool, member: Member
) -> None:
    nodes = steps_of("pods", steps, watched=watched, member=member)
    for node in nodes:
        if "stable" in sizes_of(node, 10):
            assert "1.web.canary.wait_rollout" in all_before(nodes, node.key)


@long
@given(steps=shares(), watched=st.booleans())
def test_of_two_that_take_turns_the_canary_alone_gets_the_version_and_all_pods(
    steps: list[int], watched: bool
) -> None:
    nodes = steps_of("pods", steps, watched=watched, member=IN_TURNS)
    assert [node.kind for node in nodes[:3]] == ["find_colours", "record_running", "record_running"]
    assert [is_canary(node) for node in nodes if node.kind == "set_image"] == [True]
    watches = [node.params["percent"] for node in nodes if node.kind == "watch"]
    assert watches == (steps if watched else [])
    last = next(node for node in nodes if sizes_of(node, 10) == {"stable": 0})
    checked = next(node for node in nodes if node.key == "1.web.wait_rollout")
    # What the plan waits for and checks is over before the last old pod goes.
    assert is_canary(checked)
    assert {"1.web.canary.100.scale", checked.key} <= all_before(nodes, last.key)
    assert not any(node.params.get("cleanup") for node in nodes)


def test_what_looks_at_pods_looks_at_those_of_the_canary_that_takes_over() -> None:
    gates = {"seconds": 30, "gates": [{"kind": "log_pattern", "forbid": ["OutOfMemory"]}]}
    each = [{"kind": "log_pattern", "forbid": ["FATAL"]}, {"kind": "watch", **gates}, {"kind": "health"}]
    nodes = build_graph({**plan("pods", [50, 100], watched=False), "each": each}, [IN_TURNS])
    roles = {
        node.kind: node.params.get("colour")
        for node in nodes
        if node.kind in {"watch", "health", "log_pattern"}
    }
    assert roles == {"log_pattern": "idle", "watch": "idle", "health": "idle"}


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
    # Its pods go once the stable workload runs the version, and has its size or the traffic.
    assert "1.web.wait_rollout.web" in all_before(nodes, back[0].key)
    assert back[0].key in all_before(nodes, back[-1].key)
    recorded = {node.kind for node in nodes if node.kind.startswith("record_")}
    assert recorded == {"record_running"} | ({"record_weights"} if by == "weight" else set())


@pytest.mark.parametrize("member", [WEB, IN_TURNS])
def test_a_canary_settles_as_long_as_the_plan_says(member: Member) -> None:
    waits = {"kind": "wait_rollout", "settleSeconds": 0}
    nodes = build_graph({**plan("pods", [10, 100]), "each": [{"kind": "set_image"}, waits]}, [member])
    found = {node.params.get("settleSeconds") for node in nodes if node.kind == "wait_rollout"}
    assert found == {0}


def test_there_is_no_switch_between_two_that_take_turns() -> None:
    switch = {"kind": "switch_service", "service": "web", "colour": "idle"}
    with pytest.raises(Invalid) as refusal:
        build_graph({"waves": [{"services": ["web"], "after": [switch]}]}, [IN_TURNS])
    assert [each["field"] for each in refusal.value.missing] == ["plan.waves[0].after[0].colour"]


def test_a_service_without_a_canary_goes_out_as_its_plan_says() -> None:
    nodes = build_graph(plan("pods", [10, 100]), [Member(name="web")])
    assert not {node.kind for node in nodes} & {"scale", "watch"}


@translation.override("en")
def test_a_plan_says_how_it_watches_or_nothing_of_it() -> None:
    canary = {"by": "pods", "steps": [50, 100]}
    assert canary_text(canary) == "by pods: 50 % → 100 %"
    assert canary_text({**canary, "watch": {"minutes": 1}}) == "by pods: 50 % → 100 % · for 60 s"
