"""Who looks at a rollout that waits: its watch tells when there is something to see, else the sweep looks."""

from datetime import timedelta

import pytest

from portal import clock
from releases.rollouts import engine, jobs, operations
from releases.rollouts.graph import Node
from releases.rollouts.models import WatchLead
from releases.rollouts.steps.kind import ActingKind, Change, Json, Outcome, StepKind, Work, done, wait
from releases.rollouts.steps.kinds import KINDS
from tests.factories import Shop, make_release, roll_out
from tests.people import acting
from tests.soak import long


@pytest.mark.django_db
@pytest.mark.parametrize(("led_for", "nudged"), [(None, True), (-1, True), (10, False)])
def test_the_sweep_nudges_what_rolls_out_where_nobody_watches(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, led_for: int | None, nudged: bool
) -> None:
    rollout = roll_out(make_release(shop, at="approved"), shop)
    if led_for is not None:
        until = clock.now() + timedelta(seconds=led_for)
        WatchLead.objects.create(cluster=shop.environment.cluster.name, owner="another", until=until)
    asked: list[int] = []
    monkeypatch.setattr(jobs, "enqueue_each", lambda _name, keys: asked.extend(keys))
    jobs.nudge_unwatched()
    assert asked == ([rollout.pk] if nudged else [])


class Write(ActingKind):
    """A write that changes something, or finds it done."""

    name = "set_image"

    def prepare(self, work: Work) -> Change:
        return Change(changes=[{"object": "deployment/api", "field": "image", "before": "1", "after": "2"}])

    def act(self, work: Work, change: Change) -> Json:
        return {"images": {}, "spec": {}}

    def observe(self, work: Work) -> Outcome:
        return done()


class Waits(StepKind):
    """Counts how often it is looked at."""

    name = "wait_rollout"

    def __init__(self, *, is_told: bool) -> None:
        self.is_told = is_told  # type: ignore[misc]  # of this one only
        self.looks = 0

    def observe(self, work: Work) -> Outcome:
        self.looks += 1
        return wait("made_up", seconds=60)


@long
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_told", [True, False])
def test_what_a_watch_tells_of_is_not_looked_at_right_after_the_write(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    waits = Waits(is_told=is_told)
    monkeypatch.setitem(KINDS, "set_image", Write())
    monkeypatch.setitem(KINDS, "wait_rollout", waits)
    params = {"workload": {"kind": "Deployment", "name": "shopping-service"}}
    nodes = [
        Node(key="write", kind="set_image", position=1, wave=1, params=params),
        Node(key="wait", kind="wait_rollout", position=2, wave=1, params=params, depends_on=("write",)),
    ]
    monkeypatch.setattr(operations, "graph_of", lambda _release: nodes)
    number = make_release(shop, at="approved").number
    rollout = operations.start_rollout(number, actor=acting(shop.cast.author))
    engine.advance(rollout.pk)
    assert waits.looks == (0 if is_told else 1)
    engine.advance(rollout.pk)
    assert waits.looks == (1 if is_told else 2)
