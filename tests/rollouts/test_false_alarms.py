"""No alarm in five hundred healthy rollouts, made up from a seed: slow starts, one restart, autoscaling."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portal.integrations.kubernetes.trouble import Sights, find_trouble, find_trouble_since, restart_counts
from tests.soak import long

Json = dict[str, Any]
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LOOK_SECONDS = 2
LONGEST = 400
ENDED = {"terminated": {"exitCode": 1, "reason": "Error", "message": "database: connection refused"}}


@dataclass(frozen=True, kw_only=True)
class Life:
    """One pod: when it is made, and how long each part of its start takes; it ends when it is scaled away."""

    name: str
    made: int
    without_node: int
    creating: int
    initializing: int
    starting: int
    restarts_after: int | None
    init_restarts: bool
    ends: int | None

    def at(self, second: int) -> Json | None:
        """The pod as the cluster shows it, None where it is not there."""
        age = second - self.made
        if age < 0 or (self.ends is not None and second >= self.ends):
            return None
        if age < self.without_node:
            words = "0/3 nodes are available: 3 Insufficient memory."
            lacking = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
            return self._pod("Pending", conditions=[lacking])
        age -= self.without_node
        if age < self.creating:
            return self._pod("Pending", app=_waits("ContainerCreating"))
        age -= self.creating
        if age < self.initializing:
            return self._initializing(age)
        return self._running(age - self.initializing)

    def _initializing(self, age: int) -> Json:
        again = self.init_restarts and age > self.initializing // 2
        init = {"state": {"running": {}}, "restartCount": int(again), "lastState": ENDED if again else {}}
        return self._pod("Pending", app=_waits("PodInitializing"), init=init)

    def _running(self, age: int) -> Json:
        ready = age >= self.starting
        app: Json = {"state": {"running": {}}, "restartCount": 0, "ready": ready}
        if self.restarts_after is not None and age == self.restarts_after:
            app = {"state": ENDED, "restartCount": 0, "ready": False}
        elif self.restarts_after is not None and age > self.restarts_after:
            app |= {"restartCount": 1, "lastState": ENDED}
        return self._pod("Running", app=app, conditions=[{"type": "Ready", "status": str(ready)}])

    def _pod(self, phase: str, *, app: Json | None = None, init: Json | None = None, **status: Any) -> Json:
        if app:
            status["containerStatuses"] = [{"name": "app", **app}]
        if init:
            status["initContainerStatuses"] = [{"name": "wait-for-database", **init}]
        return {"metadata": {"name": self.name}, "status": {"phase": phase, **status}}


def _waits(reason: str) -> Json:
    return {"state": {"waiting": {"reason": reason}}, "restartCount": 0, "ready": False}


def rollout(seed: int) -> list[Life]:
    """A rollout in waves of pods, some of which an autoscaler adds or takes away meanwhile."""
    chance = random.Random(seed)
    first, more = range(chance.randint(1, 6)), range(chance.choice([0, 0, 0, 1, 3, 5]))
    begins = chance.randrange(120)
    return [
        *(_life(chance, f"web-{at}", made=chance.randrange(at * 20 + 1)) for at in first),
        *(_life(chance, f"web-more-{at}", made=begins + at, briefly=True) for at in more),
    ]


def _life(chance: random.Random, name: str, *, made: int, briefly: bool = False) -> Life:
    starting = chance.choice([1, 5, 30, 110])
    return Life(
        name=name,
        made=made,
        without_node=chance.choice([0, 0, 0, 10, 55]),
        creating=chance.randint(1, 60),
        initializing=chance.choice([0, 0, 8, 45]),
        starting=starting,
        restarts_after=chance.randrange(starting) if chance.random() < 0.4 else None,
        init_restarts=chance.random() < 0.3,
        ends=made + chance.randint(20, 200) if briefly and chance.random() < 0.5 else None,
    )


def unhealthy(pod: Json, second: int) -> list[Json]:
    """The events of a probe that fails until the pod is ready."""
    if second % 6:
        return []
    about = {"name": pod["metadata"]["name"]}
    words = "Readiness probe failed: connect: connection refused"
    return [{"metadata": {}, "involvedObject": about, "reason": "Unhealthy", "message": words}]


@long
@pytest.mark.parametrize("hundred", range(5))
def test_a_healthy_rollout_gives_no_alarm(hundred: int) -> None:
    for seed in range(hundred * 100, hundred * 100 + 100):
        lives, sights = rollout(seed), Sights()
        for second in range(0, LONGEST, LOOK_SECONDS):
            pods = [pod for life in lives if (pod := life.at(second)) is not None]
            events = [event for pod in pods for event in unhealthy(pod, second)]
            now = START + timedelta(seconds=second)
            found = find_trouble(pods=pods, owner=None, events=events, sights=sights, now=now)
            assert not [each for each in found if each.final], (seed, second)


def restarted(name: str, count: int) -> Json:
    life = Life(
        name=name,
        made=0,
        without_node=0,
        creating=0,
        initializing=0,
        starting=1,
        restarts_after=0,
        init_restarts=False,
        ends=None,
    )
    pod = life.at(50)
    assert pod is not None
    pod["status"]["containerStatuses"][0]["restartCount"] = count
    return pod


def test_a_restart_on_the_way_is_forgiven_and_one_after_it_is_not() -> None:
    first = [restarted("web-1", 1), restarted("web-2", 1)]
    done = restart_counts(first)
    assert find_trouble_since(pods=first, before={}, done=done, now=START) is None
    again = find_trouble_since(pods=[restarted("web-1", 2), first[1]], before={}, done=done, now=START)
    assert again is not None
    assert (again.pod, again.code) == ("web-1", "CrashLoopBackOff")
    looping = [restarted("web-1", 2)]
    assert find_trouble_since(pods=looping, before={}, done=restart_counts(looping), now=START) is not None
