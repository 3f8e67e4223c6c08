"""The watcher: a step begins within moments of what it waited for, and the board knows what runs."""

import time
from collections.abc import Iterator

import pytest

from portal.live.models import Event
from releases.catalog.models import Running
from releases.rollouts import operations
from releases.rollouts.models import Rollout
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import wait_for
from tests.rollouts.floor import Floor
from tests.rollouts.processes import Processes, processes

ENDS = ("succeeded", "failed", "paused", "stopped")


@pytest.fixture
def roles(transactional_db: None) -> Iterator[Processes]:
    with processes() as made:
        made.start("worker")
        made.start("watcher")
        made.start("sweeper")
        yield made


def wait_until_over(rollout: Rollout, *, seconds: float = 60) -> Rollout:
    """Only the portal's own processes move the rollout."""

    def over() -> bool:
        rollout.refresh_from_db()
        return rollout.state in ENDS

    wait_for(over, what="the rollout's end", seconds=seconds, pause=0.05)
    return rollout


def seconds_by_hand(floor: Floor, version: str, waves: list[list[str]]) -> float:
    """How long the same takes with patches and patient looks, wave by wave."""
    began = time.monotonic()
    for wave in waves:
        for name in wave:
            floor.space.set_image(name, floor.wanted(name, version))
        for name in wave:
            floor.space.wait_until_done(name)
    return time.monotonic() - began


def test_a_rollout_is_hardly_slower_than_the_cluster_itself(lay_floor: Lay, roles: Processes) -> None:
    waves = [["a"], ["b", "c"], ["d"], ["e"]]
    floor = lay_floor(services=("a", "b", "c", "d", "e"), waves=waves)
    by_hand = seconds_by_hand(floor, "1.5.0", waves)
    release = floor.release("2.0.0")
    began = time.monotonic()
    rollout = wait_until_over(operations.start_rollout(release.number, actor=floor.actor))
    took = time.monotonic() - began
    assert rollout.state == "succeeded", (rollout.pause, roles.logs())
    assert took < by_hand * 1.5 + 5, f"by hand {by_hand:.2f} s, rollout {took:.2f} s, {_gaps(rollout)}"


def test_the_board_learns_what_runs(lay_floor: Lay, roles: Processes) -> None:
    floor = lay_floor(services=("a",))
    wait_until_over(floor.start("2.0.0"))

    def seen() -> Running | None:
        return Running.objects.filter(
            service__name="a", seen__version="2.0.0", seen__health="healthy"
        ).first()

    row = wait_for(seen, what="the row of what runs", seconds=15)
    assert row.seen["images"] == {"web": floor.wanted("a", "2.0.0")}
    assert (row.seen["ready"], row.seen["wanted"]) == (1, 1)
    assert Event.objects.filter(topic=f"board.{floor.environment.name}").exists()


def _gaps(rollout: Rollout) -> str:
    steps = list(rollout.steps.order_by("position"))
    return ", ".join(
        f"{step.key} {(step.ended_at - step.started_at).total_seconds():.2f}"
        for step in steps
        if step.ended_at and step.started_at
    )
