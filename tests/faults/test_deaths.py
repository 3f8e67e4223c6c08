"""Workers die, come in a crowd, or are told to stop, at a made-up cluster: each act is made once.

Real processes, clusters and signals are in tests/cluster/engine.
"""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from portal.live.models import Event
from releases.rollouts import operations, stop_points
from releases.rollouts.models import Rollout
from tests.factories import make_shop
from tests.faults.conftest import ACTS, World, finish, let_time_pass, made_up, require_whole, work
from tests.people import acting

COPIES, WORKERS = 10, 4
PLACES = ("after_intent", "before_act", "after_act", "before_record", "after_record")


class Died(BaseException):
    """The worker's death: nothing of ours catches it."""


class Deaths:
    """A worker's death at a named place, once for each act."""

    def __init__(self, world: World, place: str) -> None:
        self.world = world
        self.place = place
        self.met: set[int] = set()

    def reach(self, name: str, *, kind: str = "") -> None:
        """What `stop_points.reach` does."""
        acts = len(self.world.acts)
        if name == self.place and kind != "wait_rollout" and acts not in self.met:
            self.met.add(acts)
            raise Died


def visit(rollout: Rollout) -> None:
    """Let a worker come, after the lease of a dead one has run out; it may die."""
    let_time_pass(rollout)
    with contextlib.suppress(Died):
        work(rollout)


@pytest.mark.parametrize("place", PLACES)
def test_a_worker_that_dies_at_each_act_leaves_what_the_next_one_ends(
    transactional_db: None, world: World, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    rollout = made_up(make_shop())
    deaths = Deaths(world, place)
    monkeypatch.setattr(stop_points, "reach", deaths.reach)
    for _ in range(2 * ACTS):
        visit(rollout)
    assert len(deaths.met) >= ACTS
    finish(rollout)
    require_whole(rollout, world)


def test_copies_of_a_nudge_that_several_workers_take_at_once_change_nothing(
    transactional_db: None, world: World
) -> None:
    rollout = made_up(make_shop())
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(work, [rollout] * COPIES))
    finish(rollout)
    require_whole(rollout, world)
    assert Event.objects.filter(topic=rollout.topic, kind="step.acted").count() == ACTS


@pytest.mark.parametrize("dies", [False, True], ids=["worker lives", "worker dies"])
def test_nothing_begins_after_a_stop_that_came_in_the_middle_of_an_act(
    transactional_db: None, world: World, monkeypatch: pytest.MonkeyPatch, *, dies: bool
) -> None:
    shop = make_shop()
    rollout = made_up(shop)
    if dies:
        monkeypatch.setattr(stop_points, "reach", Deaths(world, "after_act").reach)

    def stop() -> None:
        operations.give_order(rollout.pk, "stop", actor=acting(shop.cast.author))

    world.during = stop
    visit(rollout)
    world.during = None
    visit(rollout)
    rollout.refresh_from_db()
    assert (rollout.state, len(world.acts)) == ("stopped", 1)
