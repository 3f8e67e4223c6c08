"""Real workers, killed, stopped, doubled, cut off from Redis: nothing is lost, each act is made once."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import django_rq
import pytest

from portal import jobs
from releases.rollouts.models import Rollout
from tests.cluster.engine.conftest import Lay
from tests.embedded.processes import wait_for
from tests.faults.own_redis import own_redis
from tests.rollouts.floor import Floor, kinds, states, until
from tests.rollouts.processes import LEASE_SECONDS, Processes
from tests.soak import long, soak

ADVANCE = "releases.rollouts.jobs.advance"
# State, (image, changes) by service, acts told, kind of the last event.
Outcome = tuple[str, dict[str, tuple[str, int]], int, str]
ENDS = ("succeeded", "failed", "paused", "stopped")
# What a death costs at most beside the lease of the dead: 20 s at one of 15 s (test_going_on.py).
GO_ON_SECONDS = float(LEASE_SECONDS) + 5
REDIS_SECONDS = 10.0


def generations(floor: Floor) -> dict[str, int]:
    """How often each Deployment's spec or annotations were changed, its creation included."""
    return {name: floor.space.get("deployments", name)["metadata"]["generation"] for name in floor.services}


def outcome(floor: Floor, rollout: Rollout, before: dict[str, int]) -> Outcome:
    """What came of a rollout: its end, each image and how often it was set, acts told, and the last event."""
    after = generations(floor)
    told = kinds(rollout)
    written = {name: (floor.image(name), after[name] - before[name]) for name in floor.services}
    return rollout.state, written, told.count("step.acted"), told[-1]


def right(floor: Floor) -> Outcome:
    """The rollout is over, every act was made once, and told once."""
    written = {name: (floor.wanted(name, "2.0.0"), 1) for name in floor.services}
    return "succeeded", written, len(floor.services), "rollout.succeeded"


def test_two_workers_carry_a_rollout_to_its_end(lay_floor: Lay, roles: Processes) -> None:
    floor = lay_floor(services=("a", "b", "c"), waves=(("a",), ("b", "c")))
    roles.start("worker")
    roles.start("worker")
    before = generations(floor)
    rollout = floor.start()
    assert outcome(floor, until(rollout, *ENDS), before) == right(floor), states(rollout)


@long
@pytest.mark.parametrize(
    "place",
    [
        "after_act:set_image",
        pytest.param("after_intent:set_image", marks=soak),
        pytest.param("before_act:set_image", marks=soak),
        pytest.param("before_record:set_image", marks=soak),
        pytest.param("after_record", marks=soak),
    ],
)
def test_a_worker_that_dies_anywhere_loses_nothing(lay_floor: Lay, roles: Processes, place: str) -> None:
    floor = lay_floor(services=("a", "b"), waves=(("a",), ("b",)))
    doomed = roles.start("worker", PORTAL_TEST_STOP_POINTS="on", PORTAL_STOP_AT=place)
    before = generations(floor)
    rollout = floor.start()
    doomed.wait(timeout=60)
    assert doomed.returncode == -signal.SIGKILL
    roles.start("worker")
    told = kinds(rollout)
    assert wait_for(lambda: swept() and kinds(rollout) != told, seconds=GO_ON_SECONDS), roles.logs()
    until(rollout, *ENDS, seconds=40)
    assert outcome(floor, rollout, before) == right(floor), states(rollout)


@long
def test_copies_of_a_job_change_nothing(lay_floor: Lay, roles: Processes) -> None:
    floor = lay_floor(services=("a", "b"), waves=(("a", "b"),))
    before = generations(floor)
    rollout = floor.start()
    for _ in range(10):
        jobs.enqueue(ADVANCE, rollout.pk)
    roles.start("worker")
    roles.start("worker")
    assert outcome(floor, until(rollout, *ENDS), before) == right(floor), states(rollout)


@long
def test_an_emptied_redis_costs_seconds_only(lay_floor: Lay, roles: Processes) -> None:
    floor = lay_floor(services=("a", "b"), waves=(("a",), ("b",)))
    before = generations(floor)
    rollout = floor.start()
    django_rq.get_connection("default").flushdb()
    roles.start("worker")
    roles.start("sweeper")
    told = kinds(rollout)
    assert wait_for(lambda: kinds(rollout) != told, seconds=REDIS_SECONDS), roles.logs()
    _watch_without_sweeping(rollout)
    assert outcome(floor, rollout, before) == right(floor), states(rollout)


@long
def test_a_worker_that_sleeps_longer_than_its_lease_writes_nothing_more(
    lay_floor: Lay, roles: Processes
) -> None:
    floor = lay_floor(services=("a", "b"), waves=(("a",), ("b",)))
    sleeper = roles.start("worker", PORTAL_TEST_STOP_POINTS="on", PORTAL_STOP_AT="sleep_before_act:set_image")
    before = generations(floor)
    rollout = floor.start()
    _until_asleep(sleeper.pid)
    roles.start("worker")
    until(rollout, *ENDS, seconds=40)
    assert outcome(floor, rollout, before) == right(floor), states(rollout)
    seen = kinds(rollout)
    os.kill(sleeper.pid, signal.SIGCONT)
    time.sleep(1)
    assert kinds(rollout) == seen
    assert outcome(floor, rollout, before) == right(floor), states(rollout)


@long
def test_a_stop_is_honoured_while_a_worker_is_dead(lay_floor: Lay, roles: Processes) -> None:
    floor = lay_floor(services=("a", "b"), waves=(("a",), ("b",)))
    doomed = roles.start("worker", PORTAL_TEST_STOP_POINTS="on", PORTAL_STOP_AT="after_act:set_image")
    rollout = floor.start()
    doomed.wait(timeout=60)
    floor.order(rollout, "stop")
    roles.start("worker")
    until(rollout, *ENDS, seconds=40)
    assert rollout.state == "stopped"
    assert floor.image("b").endswith(":1.0.0")
    floor.order(rollout, "rollback")
    until(rollout, "rolled_back", "rollback_failed", seconds=30)
    assert rollout.state == "rolled_back"
    assert floor.image("a").endswith(":1.0.0")


@long
def test_a_stop_that_comes_while_redis_is_away_lets_no_act_begin(
    lay_floor: Lay, roles: Processes, tmp_path: Path
) -> None:
    floor = lay_floor(services=("a", "b"), waves=(("a",), ("b",)))
    before = generations(floor)
    with own_redis(tmp_path) as server:
        place = "sleep_after_act:set_image"
        env: dict[str, Any] = {
            "REDIS_URL": server.valkey.url,
            "PORTAL_TEST_STOP_POINTS": "on",
            "PORTAL_STOP_AT": place,
        }
        sleeper = roles.start("worker", **env)
        rollout = floor.start()
        _until_asleep(sleeper.pid)
        server.kill()
        floor.order(rollout, "stop")
        os.kill(sleeper.pid, signal.SIGCONT)
        let_go = Rollout.objects.filter(pk=rollout.pk, lease_until=None)
        assert wait_for(let_go.exists, seconds=GO_ON_SECONDS), roles.logs()
        server.start()
        # Where the update is under way it has to be held first, and that is looked at once more.
        until(rollout, *ENDS, seconds=40)
        assert rollout.state == "stopped", roles.logs()
    after = generations(floor)
    assert {name for name in after if after[name] != before[name]} == {"a"}


def _watch_without_sweeping(rollout: Any) -> None:
    deadline = time.monotonic() + 30
    while rollout.state not in ENDS and time.monotonic() < deadline:
        time.sleep(0.2)
        rollout.refresh_from_db()


def _until_asleep(pid: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
            return
        time.sleep(0.05)
    raise AssertionError("the worker did not fall asleep")


def swept() -> bool:
    """Nudge as the sweeper would."""
    jobs.sweep_once()
    return True
