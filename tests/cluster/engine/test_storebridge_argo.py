"""StoreBridge's canary of Argo Rollouts, by its own plan: out in four steps, and back.

The plan is as it is shipped, but watches for a second instead of five minutes (examples.py). Beside the real
control plane the controller is the real one, and nodes are simulated.
"""

import pytest

from releases.rollouts import engine
from releases.rollouts.models import Rollout
from tests.cluster.api import Json
from tests.cluster.engine.examples import System, shorten
from tests.cluster.objects import Space, deployment, failing, wait_for
from tests.rollouts.floor import drive, why
from tests.soak import long

SYSTEM = "storebridge"
PLACE, SERVICE, NAME = "storebridge-argo", "storebridge-web-argo", "storebridge-web"
OLD = "registry.practice/storebridge/storebridge:v2.5.1"
ENDS = ("failed", "succeeded", "paused", "rolled_back", "rollback_failed")


@pytest.fixture
def bridge(system: System) -> System:
    shorten(SYSTEM)
    healthy(system.space(PLACE))
    return system


def healthy(space: Space) -> Json:
    """The Rollout, once its controller says that all of it is well."""

    def holds(seen: Json) -> bool:
        status, generation = seen.get("status", {}), str(seen["metadata"]["generation"])
        return bool(status.get("phase") == "Healthy" and status["observedGeneration"] == generation)

    return space.wait("rollouts", NAME, holds, seconds=60)


def start(bridge: System) -> Rollout:
    return bridge.start(bridge.release(PLACE, {SERVICE: "v2.6.0"}))


def images(bridge: System) -> dict[str, int]:
    """How many pods run each image."""
    pods = bridge.space(PLACE).pods("storebridge")
    found = [each["spec"]["containers"][0]["image"] for each in pods]
    return {image: found.count(image) for image in found}


def ratios(rollout: Rollout) -> list[tuple[int, int, int]]:
    """The weight that each step came to, with the pods of the new version and of both."""
    steps = rollout.steps.filter(kind__in=("wait_rollout", "promote"), direction="forward")
    seen = [each.observed for each in steps.order_by("position")]
    return [(each["weight"], each["updated"], each["total"]) for each in seen]


@long
def test_it_goes_out_in_its_four_steps_and_back_when_asked(bridge: System) -> None:
    rollout = drive(start(bridge), *ENDS, seconds=90)
    assert rollout.state == "succeeded", why(rollout)
    assert ratios(rollout) == [(10, 1, 10), (20, 2, 10), (50, 5, 10), (100, 10, 10)]
    assert images(bridge) == {rollout.release.items.get().image: 10}
    assert rollout.verdict is not None
    assert rollout.verdict["exact"] is True
    assert drive(bridge.back(rollout), *ENDS[2:], seconds=90).state == "rolled_back", why(rollout)
    healthy(bridge.space(PLACE))
    assert images(bridge) == {OLD: 10}


@long
def test_a_gate_that_is_measured_bad_takes_it_back_by_itself(bridge: System) -> None:
    space = bridge.space(PLACE)
    rollout = start(bridge)

    def at_a_fifth() -> bool:
        engine.advance(rollout.pk)
        return rollout.steps.get(key=f"1.{SERVICE}.to-20").state == "succeeded"

    wait_for(at_a_fifth, what="the second step of the canary", seconds=60)
    space.create(deployment("broken", pod_annotations=failing("NeverReady")))
    wait_for(lambda: space.pods("broken"), what="a pod that is not ready")
    drive(rollout, *ENDS[3:], seconds=90)
    assert rollout.state == "rolled_back", why(rollout)
    watched = rollout.steps.filter(kind="watch", direction="forward", state="failed")
    assert [each.failure["code"] for each in watched if each.failure] == ["gate_breached"]
    assert healthy(space)["status"].get("abort") is None
    assert images(bridge) == {OLD: 10}
