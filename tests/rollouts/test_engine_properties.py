"""Whatever the graph, failures, orders and deaths: acts are made once, a stop stops, and it ends."""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from portal import clock
from portal.actors import Actor
from portal.errors import Conflict
from portal.live.models import Event
from releases.models import Release
from releases.rollouts import engine, operations, release_side
from releases.rollouts.graph import Node
from releases.rollouts.models import Rollout
from releases.rollouts.states import StepState
from releases.rollouts.steps.kind import (
    ActingKind,
    Change,
    Found,
    Json,
    Outcome,
    Verdict,
    Work,
    done,
    failed,
    wait,
)
from tests.factories import Shop, make_rollout
from tests.people import acting
from tests.soak import examples

ENDS = frozenset({"succeeded", "failed", "paused", "stopped", "rolled_back", "rollback_failed"})
MOST_ADVANCES = 200


class Died(BaseException):
    """The worker's death at this very place."""


@dataclass
class World:
    """What a cluster would be: it remembers marks, and plays a script of outcomes, deaths and orders."""

    verdicts: dict[str, list[str]]
    deaths: list[int]
    order: tuple[int, str] | None
    answer: str = "approve"
    signed_off: bool = False
    rollout: Rollout | None = None
    actor: Any = None
    points: int = 0
    marks: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    begun_at_stop: int | None = None

    def point(self) -> None:
        """A place between two transactions: a person may ask something here, or the worker may die."""
        self.points += 1
        if self.order and self.points == self.order[0] and self.rollout is not None:
            self.rollout.refresh_from_db()
            try:
                operations.give_order(self.rollout.pk, self.order[1], actor=self.actor)
            except Conflict:
                return
            if self.order[1] == "stop":
                self.begun_at_stop = len(self.begun)
        if self.points in self.deaths:
            raise Died

    def verdict(self, key: str) -> str:
        """What the next look at a step comes to."""
        left = self.verdicts.get(key) or []
        return left.pop(0) if left else "done"


class Scripted(ActingKind):
    """A step of the world; `acts` for the kinds that write."""

    name = "scripted"

    def __init__(self, world: World, *, acts: bool) -> None:
        self.world = world
        self.acts = acts  # type: ignore[misc]

    def prepare(self, work: Work) -> Change | Found | Outcome:
        mark = work.mark["portal/step"]
        self.world.point()
        if mark in self.world.marks:
            return Found(acted={"images": {}, "spec": {}}, observed={"code": "image_set"})
        return Change(changes=[])

    def act(self, work: Work, change: Change) -> Json:
        after_signoff = work.step.is_after_signoff and work.step.direction == "forward"
        assert self.world.signed_off or not after_signoff, "the switch began before the sign-off"
        self.world.begun.append(work.mark["portal/step"])
        self.world.marks.append(work.mark["portal/step"])
        self.world.point()
        return {"images": {}, "spec": {}}

    def observe(self, work: Work) -> Outcome:
        self.world.point()
        verdict = self.world.verdict(work.step.key) if not self.acts else "done"
        if verdict == "failed":
            return failed("made_up", "words")
        if verdict == "errored":
            return Outcome(verdict=Verdict.ERRORED, failure={"code": "made_up"})
        return wait("made_up", seconds=0) if verdict == "wait" else done()


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    """Random graphs: each step depends on any of the earlier ones; the last may wait for the sign-off."""
    count = draw(st.integers(1, 6))
    before_signoff = draw(st.integers(1, count))
    nodes: list[Node] = []
    for position in range(count):
        earlier = [node.key for node in nodes]
        chosen = draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
        kind = draw(st.sampled_from(["set_image", "wait_rollout"]))
        section = "wave" if position < before_signoff else "switch"
        chosen = chosen if section == "wave" else earlier
        params = {"workload": {"kind": "Deployment", "name": f"w{position}"}, "section": section}
        nodes.append(
            Node(
                key=f"s{position}",
                kind=kind,
                position=position,
                wave=1 if section == "wave" else 2,
                params=params,
                depends_on=tuple(chosen),
            )
        )
    return nodes


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Random scripts."""
    verdict = st.sampled_from(["wait", "wait", "failed", "errored", "done"])
    verdicts = draw(
        st.dictionaries(st.sampled_from([f"s{n}" for n in range(6)]), st.lists(verdict, max_size=3))
    )
    deaths = draw(st.lists(st.integers(1, 15), max_size=3, unique=True))
    order = draw(st.none() | st.tuples(st.integers(1, 12), st.sampled_from(["stop", "pause", "rollback"])))
    answer = draw(st.sampled_from(["approve", "reject"]))
    return World(verdicts=verdicts, deaths=deaths, order=order, answer=answer)


@pytest.fixture
def ground(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop whose releases are always approved, and whose results always wait for a sign-off."""
    monkeypatch.setattr(release_side, "missing_for", lambda _release, **_more: [])
    monkeypatch.setattr(release_side, "verified", _wait_for_signoff)
    return shop


def _wait_for_signoff(release: Release, *, actor: Actor) -> None:
    """What `release_side.verified` does where somebody signs off."""
    release_side.follow(release, "awaiting_signoff", actor=actor)


def _begin_switch(world: World, release: Release, *, actor: Actor) -> bool:
    """What `release_side.begin_switch` does, with the world's sign-off."""
    if world.signed_off:
        release_side.follow(release, "switching", actor=actor)
    return world.signed_off


def _decide(world: World, release: Release) -> None:
    """Decide about the result as a superior does."""
    if world.answer == "approve":
        world.signed_off = True
    elif release.state == "awaiting_signoff":
        release_side.follow(release, "failed", actor=world.actor)


@pytest.mark.repeated
@settings(
    max_examples=examples(40, soaking=500),
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(nodes=graphs(), world=worlds(), on_failure=st.sampled_from(["hold", "rollback"]))
def test_any_rollout_ends_acts_once_and_obeys_a_stop(
    ground: Shop, monkeypatch: pytest.MonkeyPatch, nodes: list[Node], world: World, on_failure: str
) -> None:
    ground.plan.spec["onFailure"] = on_failure
    ground.plan.save(update_fields=["spec"])
    kinds = {"set_image": Scripted(world, acts=True), "wait_rollout": Scripted(world, acts=False)}
    kinds |= {"restore_image": kinds["set_image"], "verify_digests": kinds["wait_rollout"]}
    monkeypatch.setattr(engine, "KINDS", kinds)
    monkeypatch.setattr(release_side, "begin_switch", partial(_begin_switch, world))
    rollout = world.rollout = make_rollout(ground, nodes)
    world.actor = acting(ground.cast.author)
    for _ in range(MOST_ADVANCES):
        try:
            engine.advance(rollout.pk)
        except Died:
            _let_lease_run_out(rollout)
        rollout.refresh_from_db()
        if rollout.state == "awaiting_signoff":
            _decide(world, Release.objects.get(pk=rollout.release_id))
        if rollout.state in ENDS and not rollout.orders.filter(honoured_at=None).exists():
            break
    _check(rollout, world)


def _check(rollout: Rollout, world: World) -> None:
    assert rollout.state in ENDS, rollout.state
    assert len(world.begun) == len(set(world.begun)), "an act was made twice"
    if world.begun_at_stop is not None:
        assert len(world.begun) == world.begun_at_stop, "an act began after the stop was committed"
        # On the way back, which may have begun by itself, a stop pauses.
        goes_back = rollout.steps.filter(direction="back").exists()
        assert rollout.state in {"stopped", "succeeded", "failed"} or goes_back
    states = set(rollout.steps.filter(direction="forward").values_list("state", flat=True))
    if rollout.state == "succeeded":
        assert states == {StepState.SUCCEEDED}
    if rollout.state in {"failed", "stopped"}:
        assert not states & {StepState.READY, StepState.RUNNING}
    numbers = list(
        Event.objects.filter(topic=rollout.topic).order_by("number").values_list("number", flat=True)
    )
    assert numbers == list(range(1, len(numbers) + 1))


def _let_lease_run_out(rollout: Rollout) -> None:
    Rollout.objects.filter(pk=rollout.pk).update(lease_until=clock.now() - timedelta(seconds=1))
