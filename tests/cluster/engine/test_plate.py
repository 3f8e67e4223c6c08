"""plate as its example ships it without Helm: its four workloads in their order, failing, and back.

On the real control plane nodes are simulated; what settles takes a second (examples.py). Under Helm it is
tried in tests/cluster/helm.
"""

import pytest

from releases.rollouts.models import Rollout
from tests.cluster.engine.examples import System, shorten
from tests.rollouts.floor import drive, why
from tests.soak import long

SYSTEM, PLACE, ENVIRONMENT = "plate", "plate-prod", "plate-production"
VERSIONS = {"plate-cache": "7.4.2", "plate-api": "1.9.0", "plate-llm": "0.10.0", "plate-web": "1.26.0"}
ENDS = ("succeeded", "failed", "paused", "stopped")
BACK = ("rolled_back", "rollback_failed", "paused")


@pytest.fixture
def plate(system: System) -> System:
    shorten(SYSTEM)
    return system


def order(rollout: Rollout) -> list[str]:
    """The services as they were given their images."""
    begun = rollout.steps.filter(kind="set_image", acted_at__isnull=False, direction="forward")
    return [each.service.name for each in begun.order_by("acted_at") if each.service]


@long
def test_cache_api_llm_and_web_front_go_out_in_their_order_and_back(plate: System) -> None:
    before = plate.images(PLACE)
    release = plate.release(ENVIRONMENT, VERSIONS)
    rollout = drive(plate.start(release), *ENDS, seconds=90)
    assert rollout.state == "succeeded", why(rollout)
    items = {item.service.name: {item.image} for item in release.items.select_related("service")}
    assert plate.images(PLACE) == items
    assert rollout.verdict is not None
    assert rollout.verdict["exact"] is True
    cache, *middle, web = order(rollout)
    assert (cache, set(middle), web) == ("plate-cache", {"plate-api", "plate-llm"}, "plate-web")
    drive(plate.back(rollout), *BACK, seconds=90)
    assert rollout.state == "rolled_back", why(rollout)
    assert plate.images(PLACE) == before


@long
def test_a_web_front_that_crashes_is_found_out_without_a_readiness_probe_and_all_go_back(
    plate: System,
) -> None:
    before = plate.images(PLACE)
    release = plate.release(ENVIRONMENT, VERSIONS | {"plate-web": "1.26.0-broken"})
    rollout = drive(plate.start(release), *ENDS, seconds=90)
    assert rollout.state == "failed", why(rollout)
    failed = rollout.steps.get(state="failed")
    assert failed.service is not None
    assert (failed.kind, failed.service.name) == ("wait_rollout", "plate-web")
    assert (failed.failure or {})["code"] == "CrashLoopBackOff"
    assert len(order(rollout)) == len(VERSIONS)
    drive(plate.back(rollout), *BACK, seconds=90)
    assert rollout.state == "rolled_back", why(rollout)
    assert plate.images(PLACE) == before
