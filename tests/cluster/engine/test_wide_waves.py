"""Many workloads that are waited for at once cost the cluster little more than one."""

import collections
import time
from typing import Any
from unittest import mock

from portal.integrations.kubernetes.server import Server
from releases.rollouts import engine
from releases.rollouts.models import Rollout
from releases.rollouts.states import StepState
from releases.rollouts.steps.evidence import EARLY_SECONDS
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import wait_for
from tests.rollouts.floor import drive
from tests.soak import long

NAMES = ("one", "two", "three", "four", "five")


def waits(rollout: Rollout) -> int:
    """How many are waited for."""
    return rollout.steps.filter(kind="wait_rollout", state=StepState.RUNNING).count()


def asked_in_one_look(rollout: Rollout) -> collections.Counter[str]:
    """What a look asks the cluster, by the end of the path."""
    asked: collections.Counter[str] = collections.Counter()
    call = Server.call

    def counted(self: Server, method: str, path: str, **more: Any) -> Any:
        asked[path.rpartition("/")[2]] += 1
        return call(self, method, path, **more)

    with mock.patch.object(Server, "call", counted):
        engine.advance(rollout.pk)
    return asked


@long
def test_workloads_that_are_waited_for_together_are_read_together(lay_floor: Lay) -> None:
    floor = lay_floor(services=NAMES)
    for name in NAMES:
        # So that all of them are waited for at the same time.
        floor.space.patch("deployments", name, {"spec": {"minReadySeconds": 8}})
        floor.space.settle(name)
    rollout = floor.start("2.0.0")

    def all_wait() -> bool:
        engine.advance(rollout.pk)
        return waits(rollout) == len(NAMES)

    wait_for(all_wait, what="five waits", seconds=20)
    time.sleep(EARLY_SECONDS + 0.1)
    asked = asked_in_one_look(rollout)
    assert waits(rollout) == len(NAMES)
    # A label narrows what is read of each workload's pods; the rest is one question for all.
    assert asked == {"deployments": 1, "replicasets": 5, "pods": 5, "events": 1}
    drive(rollout, "succeeded")
    for name in NAMES:
        assert floor.image(name) == floor.wanted(name, "2.0.0")
