"""StoreBridge blue-green: deploy green, look at it, switch, keep blue for a while, remove it, and back.

The plan is as it is shipped, but holds blue for a second instead of ten minutes (examples.py). On the real
control plane nodes are simulated.
"""

import pytest

from releases.rollouts import engine
from releases.rollouts.models import Rollout
from tests.cluster.api import Json
from tests.cluster.engine.examples import System, shorten
from tests.cluster.objects import failing
from tests.rollouts.floor import drive, why
from tests.soak import long

SYSTEM = "storebridge"
PLACE, PLAN, SERVICE = "storebridge-staging", "storebridge-staging-blue-green", "storebridge-front"
ENDS = ("succeeded", "failed", "paused", "stopped", "awaiting_signoff")
BACK = ("rolled_back", "rollback_failed", "paused")


@pytest.fixture
def bridge(system: System) -> System:
    shorten(SYSTEM)
    return system


def standing(bridge: System) -> tuple[str, dict[str, int]]:
    """The colour with the traffic, and how many pods each asks for."""
    space = bridge.space(PLACE)
    found = space.find("deployments", labelSelector=f"app={SERVICE}")
    sizes = {each["metadata"]["labels"]["color"]: each["spec"]["replicas"] for each in found}
    return space.get("services", SERVICE)["spec"]["selector"]["color"], sizes


def start(bridge: System, version: str) -> Rollout:
    return bridge.start(bridge.release(PLACE, {SERVICE: version}, plan=PLAN))


def is_green(pod: Json) -> bool:
    """Whether a pod is of the new colour."""
    return bool(pod["metadata"]["labels"]["color"] == "green")


def steps(rollout: Rollout) -> list[str]:
    """What was done, in its order."""
    return list(rollout.steps.exclude(ended_at=None).order_by("ended_at").values_list("kind", flat=True))


@long
def test_green_is_deployed_looked_at_switched_to_and_blue_is_removed(bridge: System) -> None:
    # Staging asks nobody, so the switch follows the verification at once.
    rollout = drive(start(bridge, "v2.6.0"), *ENDS, seconds=60)
    assert rollout.state == "succeeded", why(rollout)
    order = steps(rollout)
    assert order.index("verify_digests") < order.index("switch_service")
    assert order[-1] == "scale"
    assert standing(bridge) == ("green", {"blue": 0, "green": 2})
    drive(bridge.back(rollout), *BACK, seconds=60)
    assert standing(bridge) == ("blue", {"blue": 2, "green": 0}), why(rollout)


@long
def test_a_green_that_is_ready_but_not_well_is_never_switched_to(bridge: System) -> None:
    rollout = drive(start(bridge, "v2.6.0-unwell"), *ENDS, seconds=60)
    assert rollout.state == "failed", why(rollout)
    failed = rollout.steps.get(state="failed")
    assert (failed.kind, failed.params["section"]) == ("watch", "wave")
    assert "storebridge-front-green-" in str((failed.failure or {})["seen"])
    assert standing(bridge) == ("blue", {"blue": 2, "green": 2})
    drive(bridge.back(rollout), *BACK, seconds=60)
    assert standing(bridge) == ("blue", {"blue": 2, "green": 0}), why(rollout)


@long
def test_a_green_that_breaks_under_traffic_gives_it_back_to_the_blue_that_still_stands(
    bridge: System,
) -> None:
    rollout = start(bridge, "v2.6.0")
    kept = rollout.steps.get(kind="watch", params__section="switch")
    kept.params["seconds"] = 600
    kept.save(update_fields=["params"])
    while not rollout.steps.filter(pk=kept.pk, state="running").exists():
        engine.advance(rollout.pk)
    space = bridge.space(PLACE)
    [name, _other] = sorted(pod["metadata"]["name"] for pod in space.pods(SERVICE) if is_green(pod))
    space.patch("pods", name, {"metadata": {"annotations": {"practice/health": "DOWN"}}})
    drive(rollout, *ENDS, seconds=60)
    assert rollout.state == "failed", why(rollout)
    failed = rollout.steps.get(state="failed")
    assert (failed.pk, (failed.failure or {})["code"]) == (kept.pk, "gate_breached")
    assert name in str((failed.failure or {})["seen"])
    assert standing(bridge) == ("green", {"blue": 2, "green": 2})
    drive(bridge.back(rollout), *BACK, seconds=60)
    assert rollout.state == "rolled_back", why(rollout)
    assert standing(bridge) == ("blue", {"blue": 2, "green": 0})


@long
def test_a_green_that_does_not_come_up_is_never_switched_to_and_goes(bridge: System) -> None:
    broken = {"spec": {"template": {"metadata": {"annotations": failing("ErrImagePull")}}}}
    space = bridge.space(PLACE)
    space.patch("deployments", "storebridge-front-green", broken)
    rollout = drive(start(bridge, "v2.6.0"), *ENDS, seconds=60)
    assert rollout.state == "failed", why(rollout)
    failure = rollout.steps.get(state="failed").failure
    assert (failure or {})["code"] == "ErrImagePull"
    assert standing(bridge) == ("blue", {"blue": 2, "green": 2})
    drive(bridge.back(rollout), *BACK, seconds=60)
    assert rollout.state == "rolled_back", why(rollout)
    assert standing(bridge) == ("blue", {"blue": 2, "green": 0})
