"""Whatever the graph, outcomes, orders, deaths, sleeps and clock steps: the engine keeps its promises.

A step begins only after what it depends on; nothing begins after a halt was committed, and nothing forward
once it turned back; a worker whose lease another one has taken writes nothing more; it always ends; and what
a stop comes upon half-way stays held in the cluster, while nothing does of what went out or back to its end.
"""

import contextlib
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db.models import F, Q
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from portal import clock
from portal.actors import Actor
from portal.errors import PermanentError, PortalError, TemporaryError
from portal.integrations.kubernetes.workloads import Reference, Workload
from portal.live.models import Event
from releases.models import Release
from releases.rollouts import engine, leases, operations, reaching, release_side, stop_points
from releases.rollouts.graph import Node
from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import DONE, REFUSED, TROUBLED, StepState
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
from tests.soak import examples, long

ENDS = frozenset({"succeeded", "failed", "paused", "stopped", "rolled_back", "rollback_failed"})
MOST_ADVANCES = 200
# In the transaction that writes the act down nobody else can have taken over: its lock is held.
LOCKED = "before_record"
BETWEEN = frozenset({"after_intent", "before_act"})
ORDERS = ("pause", "resume", "stop", "rollback", "retry", "skip")
Fingerprint = list[tuple[Any, ...]]


class Died(BaseException):
    """The worker's death at this very place."""


@dataclass
class World:
    """What a cluster would be: it remembers marks, and plays a script.

    Attributes:
        verdicts: by step, what looks at it come to.
        orders: by place, what is asked there; places between two transactions are counted.
        deaths: places where the worker dies.
        sleeps: places where it falls asleep until another has taken over and gone on.
        clock_steps: by place, by how many seconds the database's clock jumps.
        answer: what a superior says to the result.
        halts: what was asked that nothing may begin after, by its order.
        marks: what was done, by whom it was marked; a write that rests on what has changed is a conflict.
        out: the workloads that were written, which never come to the end of their update.
        held: those of them that are held where they are.
    """

    verdicts: dict[str, list[str]]
    orders: dict[int, str] = field(default_factory=dict)
    deaths: list[int] = field(default_factory=list)
    sleeps: list[int] = field(default_factory=list)
    clock_steps: dict[int, int] = field(default_factory=dict)
    answer: str = "approve"
    signed_off: bool = False
    rollout: Rollout | None = None
    actor: Any = None
    places: int = 0
    depth: int = 0
    marks: list[str] = field(default_factory=list)
    writes: dict[str, int] = field(default_factory=dict)
    out: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    versions: Counter[str] = field(default_factory=Counter)
    halts: dict[str, int] = field(default_factory=dict)
    intended: dict[int, set[str]] = field(default_factory=dict)
    asleep_at: dict[int, str] = field(default_factory=dict)
    woken: Fingerprint | None = None
    calls_awake: int = 0
    broken: list[str] = field(default_factory=list)

    def place(self, name: str) -> None:
        """Let happen here what the script says."""
        self.places += 1
        if self.rollout is None:
            return
        if self.places in self.clock_steps and name != LOCKED:
            jump(self.rollout, self.clock_steps[self.places])
        if self.places in self.orders and name not in {*BETWEEN, LOCKED}:
            self._ask(self.orders[self.places])
        if self.places in self.sleeps and name != LOCKED and not self.depth and self.woken is None:
            self._sleep(name)
        if self.places in self.deaths:
            raise Died

    def _ask(self, kind: str) -> None:
        assert self.rollout is not None
        troubled = self.rollout.steps.filter(state__in=TROUBLED).first()
        step = troubled.pk if troubled is not None and kind in {"retry", "skip"} else None
        try:
            order = operations.give_order(
                self.rollout.pk, kind, actor=self.actor, step_id=step, reason="a reason of the test"
            )
        except PortalError:
            return
        if kind in {"stop", "pause", "rollback"}:
            self.halts[kind] = order.pk
        if kind in {"resume", "retry", "skip", "rollback"}:
            self.halts.pop("pause", None)

    def _sleep(self, name: str) -> None:
        """Another worker takes over and goes as far as it can; then this one wakes."""
        assert self.rollout is not None
        let_lease_run_out(self.rollout)
        self.depth += 1
        with contextlib.suppress(Died):
            engine.advance(self.rollout.pk)
        self.depth -= 1
        leases.take(self.rollout.pk)  # and a third holds it now
        self.woken = fingerprint(self.rollout)
        self.calls_awake = 1 if name in BETWEEN else 0

    def end_of_round(self) -> None:
        """Who woke to find another at work must have left everything as it was then."""
        if self.woken is not None and self.rollout is not None and self.woken != fingerprint(self.rollout):
            self.broken.append("an old epoch wrote")
        self.woken = None

    def intends(self) -> None:
        """An intent was committed: whether that was allowed shows by what had been asked until then."""
        assert self.rollout is not None
        refused = self.rollout.orders.filter(outcome__startswith=REFUSED).values_list("pk", flat=True)
        # One that found nothing to halt, as the result waits for its sign-off already, was answered so.
        self.intended[self.depth] = {kind for kind, pk in self.halts.items() if pk not in set(refused)}

    def begins(self, step: Step) -> None:
        """An act begins."""
        halts = self.intended.pop(self.depth, set())
        forward = step.direction == "forward"
        if step.is_after_signoff and forward and not self.signed_off:
            self.broken.append(f"{step.key} began before the sign-off")
        if halts & {"stop", "pause"} or ("rollback" in halts and forward):
            self.broken.append(f"{step.key} began after {halts}")
        if self.woken is not None and not self.depth:
            self.calls_awake -= 1
            if self.calls_awake < 0:
                self.broken.append(f"{step.key} began by an old epoch")

    def looks(self, step: Step) -> None:
        """A step is at work: everything before it must be done."""
        earlier = set(step.depends_on.values_list("state", flat=True))
        if not earlier <= DONE:
            self.broken.append(f"{step.key} came before what it depends on: {earlier}")

    def write(self, key: str, mark: str, seen: int) -> None:
        """A conditional write.

        Raises:
            TemporaryError: with code "conflict" when somebody wrote since it was seen.
        """
        if self.writes.get(key, 0) != seen:
            raise TemporaryError("changed meanwhile", code="conflict")
        self.writes[key] = seen + 1
        self.marks.append(mark)

    def put_out(self, name: str) -> None:
        """The template of a workload is written, which lets it go."""
        self.out.add(name)
        self.held.discard(name)
        self.versions[name] += 1

    def workload(self, reference: Reference) -> Workload:
        """A Deployment in the middle of its update, where it was written."""
        self.place("read")
        assert self.rollout is not None
        name, pk = reference.name, str(self.rollout.pk)
        marks = {"portal/rollout": pk} if name in self.out else {}
        marks |= {"portal/held": pk} if name in self.held else {}
        metadata = {"name": name, "namespace": reference.namespace, "generation": 1, "annotations": marks}
        return Workload(
            {
                "kind": "Deployment",
                "metadata": {**metadata, "resourceVersion": self.versions[name]},
                "spec": {"replicas": 2, "template": {}, "paused": name in self.held},
                "status": {"observedGeneration": 1, "updatedReplicas": 1, "replicas": 2},
            }
        )

    def change(self, _plural: str, seen: Json, body: Json, *, part: str = "") -> None:
        """A pause, or its end, over what was seen.

        Raises:
            TemporaryError: with code "conflict" when somebody wrote since.
        """
        assert not part
        self.place("hold")
        name = seen["metadata"]["name"]
        if seen["metadata"]["resourceVersion"] != self.versions[name]:
            raise TemporaryError("changed meanwhile", code="conflict")
        self.versions[name] += 1
        (self.held.add if body["spec"]["paused"] else self.held.discard)(name)
        self.place("held")

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
        self.world.looks(work.step)
        seen = self.world.writes.get(work.step.key, 0)
        found = work.mark["portal/step"] in self.world.marks
        # What was given back already and is held since is written once more, to let it go.
        found &= work.step.direction == "forward" or work.workload.name not in self.world.held
        self.world.place("prepare")
        if found:
            return Found(acted={"images": {}, "spec": {}}, observed={"code": "image_set"})
        return Change(changes=[], payload=seen)

    def act(self, work: Work, change: Change) -> Json:
        self.world.begins(work.step)
        if self.world.verdict(f"{work.step.key}.act") == "refused":
            raise PermanentError("no right", code="forbidden")
        if work.mark["portal/step"] not in self.world.marks:
            self.world.write(work.step.key, work.mark["portal/step"], change.payload)
        self.world.put_out(work.workload.name)
        self.world.place("act")
        return {"images": {}, "spec": {}}

    def observe(self, work: Work) -> Outcome:
        self.world.looks(work.step)
        self.world.place("observe")
        verdict = self.world.verdict(work.step.key)
        if verdict == "refused":
            raise PermanentError("no right", code="forbidden")
        if self.acts:
            return done()
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


def chain() -> list[Node]:
    """Two writes and a wait, one after the other."""
    kinds = ("set_image", "set_image", "wait_rollout")
    return [
        Node(
            key=f"s{position}",
            kind=kind,
            position=position,
            wave=1,
            params={"workload": {"kind": "Deployment", "name": f"w{position}"}, "section": "wave"},
            depends_on=(f"s{position - 1}",) if position else (),
        )
        for position, kind in enumerate(kinds)
    ]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Random scripts; nothing is asked any more once a stop was."""
    verdict = st.sampled_from(["wait", "wait", "failed", "errored", "refused", "done"])
    keys = st.sampled_from([f"s{n}{part}" for n in range(6) for part in ("", "", ".act")])
    places = st.integers(1, 25)
    orders = draw(st.dictionaries(places, st.sampled_from(ORDERS), max_size=4))
    stopped = min((at for at, kind in orders.items() if kind == "stop"), default=0)
    return World(
        verdicts=draw(st.dictionaries(keys, st.lists(verdict, max_size=3))),
        orders={at: kind for at, kind in orders.items() if not stopped or at <= stopped},
        deaths=draw(st.lists(places, max_size=3, unique=True)),
        sleeps=draw(st.lists(st.integers(1, 12), max_size=3, unique=True)),
        clock_steps=draw(st.dictionaries(places, st.sampled_from([-600, -5, 5, 600]), max_size=2)),
        answer=draw(st.sampled_from(["approve", "reject"])),
    )


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


@long
@pytest.mark.repeated
@settings(
    max_examples=examples(40, soaking=1000),
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(nodes=chain(), world=World({"s2": ["wait"] * 3}, {8: "pause", 12: "resume"}), on_failure="hold")
@example(nodes=chain(), world=World({"s2": ["wait"] * 3}, {8: "pause", 12: "rollback"}), on_failure="hold")
@given(nodes=graphs(), world=worlds(), on_failure=st.sampled_from(["hold", "rollback"]))
def test_any_rollout_ends_acts_once_and_obeys_a_stop(
    ground: Shop, monkeypatch: pytest.MonkeyPatch, nodes: list[Node], world: World, on_failure: str
) -> None:
    world = deepcopy(world)  # that of an example is there once for all
    ground.plan.spec["onFailure"] = on_failure
    ground.plan.save(update_fields=["spec"])
    kinds = {"set_image": Scripted(world, acts=True), "wait_rollout": Scripted(world, acts=False)}
    kinds |= {"restore_image": kinds["set_image"], "verify_digests": kinds["wait_rollout"]}
    monkeypatch.setattr(engine, "KINDS", kinds)
    monkeypatch.setattr(release_side, "begin_switch", partial(_begin_switch, world))
    monkeypatch.setattr(stop_points, "reach", named_places(world))
    monkeypatch.setattr(reaching, "connect", lambda _spec: world)
    rollout = world.rollout = make_rollout(ground, nodes)
    world.actor = acting(ground.cast.author)
    for _ in range(MOST_ADVANCES):
        work(rollout, world)
        rollout.refresh_from_db()
        if rollout.state == "awaiting_signoff":
            _decide(world, Release.objects.get(pk=rollout.release_id))
        if rollout.state in ENDS and not rollout.orders.filter(honoured_at=None).exists():
            break
    _check(rollout, world)


def named_places(world: World) -> Callable[..., None]:
    """The engine's own named places are places of the world as well."""

    def reach(name: str, *, kind: str = "") -> None:
        if name == "after_intent":
            world.intends()
        world.place(name)

    return reach


def work(rollout: Rollout, world: World) -> None:
    """Let a worker go as far as it can; whatever becomes of it, its lease is free in the end."""
    with contextlib.suppress(Died):
        engine.advance(rollout.pk)
    world.end_of_round()
    let_lease_run_out(rollout)


def fingerprint(rollout: Rollout) -> Fingerprint:
    """What the engine writes: of each step, of the rollout, of the lease, and what it tells.

    An old epoch mostly writes what is there already: that it told so once more, or gave back a lease that is
    another's, shows it all the same. What people ask meanwhile is told as well, and left out.
    """
    steps = Step.objects.filter(rollout=rollout).order_by("pk")
    row = Rollout.objects.filter(pk=rollout.pk).annotate(is_held=Q(lease_until__isnull=False))
    told = Event.objects.filter(topic=rollout.topic).exclude(kind__startswith="rollout.order_")
    return [
        *steps.values_list("pk", "state", "attempt", "tries", "acted", "intent", "observed"),
        *row.values_list("state", "lease_epoch", "lease_owner", "is_held", "stumble"),
        *told.order_by("number").values_list("kind", "at"),
    ]


def let_lease_run_out(rollout: Rollout) -> None:
    """Let so much time pass that a lease which nobody gave back is free."""
    Rollout.objects.filter(pk=rollout.pk, lease_until__isnull=False).update(
        lease_until=clock.now() - timedelta(seconds=1)
    )


def jump(rollout: Rollout, seconds: int) -> None:
    """Let the database's clock jump: whatever was written down is by so much longer ago, or still to come."""
    by = timedelta(seconds=seconds)
    Rollout.objects.filter(pk=rollout.pk).update(
        wake_at=F("wake_at") - by, lease_until=F("lease_until") - by, queued_at=F("queued_at") - by
    )
    Step.objects.filter(rollout=rollout).update(
        wake_at=F("wake_at") - by, deadline_at=F("deadline_at") - by, started_at=F("started_at") - by
    )


def _check(rollout: Rollout, world: World) -> None:
    assert rollout.state in ENDS, rollout.state
    assert world.broken == []
    assert len(world.marks) == len(set(world.marks)), "an act was made twice"
    if "stop" in world.halts:
        # On the way back, which may have begun by itself, a stop pauses.
        goes_back = rollout.steps.filter(direction="back").exists()
        assert rollout.state in {"stopped", "succeeded", "failed"} or goes_back
    for order in rollout.orders.filter(by=None).select_related("step"):
        # Only what a look found bad goes back without a person, and says so in these words.
        assert order.step is not None
        failures = [order.step.failure, *(each["failure"] for each in order.step.history)]
        assert "words" in [failure.get("message") for failure in failures if failure]
    states = set(rollout.steps.filter(direction="forward").values_list("state", flat=True))
    if rollout.state == "succeeded":
        assert states <= DONE
    if rollout.state in {"succeeded", "rolled_back"}:
        assert world.held == set(), "it has ended, and something is still held"
    # Who slept on the way from an intent to its act may write after the stop.
    if rollout.state == "stopped" and not world.sleeps:
        assert world.held == world.out, "it was stopped, and something goes on"
    if rollout.state in {"failed", "stopped"}:
        assert not states & {StepState.READY, StepState.RUNNING}
    assert forward_since_turned(rollout) <= {"step.undone"}
    numbers = list(
        Event.objects.filter(topic=rollout.topic).order_by("number").values_list("number", flat=True)
    )
    assert numbers == list(range(1, len(numbers) + 1))


def forward_since_turned(rollout: Rollout) -> set[str]:
    """What was told of forward steps since the rollout turned back; nothing where it never did."""
    events = list(Event.objects.filter(topic=rollout.topic).order_by("number"))
    turned = next((each.number for each in events if each.kind == "rollout.rolling_back"), len(events))
    later = [each for each in events if each.number > turned and each.kind.startswith("step.")]
    return {each.kind for each in later if each.data["direction"] == "forward"}
