"""From start to end, and back again."""

from releases.catalog.models import Running
from releases.models import Release
from tests.cluster.engine.conftest import Lay
from tests.rollouts.floor import drive, kinds, states
from tests.soak import long


@long
def test_a_release_goes_through_its_waves_and_is_verified(lay_floor: Lay) -> None:
    floor = lay_floor(services=("base", "left", "right"), waves=(("base",), ("left", "right")))
    rollout = drive(floor.start("2.0.0"), "succeeded", "failed", "paused")
    assert rollout.state == "succeeded", (rollout.pause, states(rollout))
    for name in floor.services:
        assert floor.image(name) == floor.wanted(name, "2.0.0")
    assert rollout.verdict is not None
    assert rollout.verdict["exact"] is True
    assert Release.objects.get(pk=rollout.release_id).state == "awaiting_signoff"
    expected = Running.objects.get(service__name="left").expected
    assert floor.wanted("left", "2.0.0").partition("@")[2] in expected["digests"]
    seen = kinds(rollout)
    assert seen[:2] == ["rollout.queued", "rollout.started"]
    assert seen[-1] == "rollout.succeeded"


@long
def test_what_was_rolled_out_goes_back_to_what_ran_before(lay_floor: Lay) -> None:
    floor = lay_floor(services=("base", "top"), waves=(("base",), ("top",)))
    before = {name: floor.image(name) for name in floor.services}
    rollout = drive(floor.start("2.0.0"), "succeeded")
    floor.order(rollout, "rollback")
    drive(rollout, "rolled_back")
    assert {name: floor.image(name) for name in floor.services} == before
    assert Release.objects.get(pk=rollout.release_id).state == "rolled_back"
    assert states(rollout)["1.base.set_image"] == "undone"
