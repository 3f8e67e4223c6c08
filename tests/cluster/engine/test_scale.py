"""Replicas beside a wave, an autoscaler's bounds where it owns them, and what was there before put back."""

from typing import Any

import pytest
from django.utils import translation

from releases.rollouts import plans
from releases.rollouts.models import Rollout
from releases.rollouts.steps import scale
from tests.cluster.api import Json
from tests.cluster.contract.autoscaling import autoscaler
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import wait_for
from tests.rollouts.floor import Floor, drive, why
from tests.soak import long

ENDS = ("failed", "succeeded", "paused")


def scaled(lay_floor: Lay, replicas: int, *, place: str = "after", **more: object) -> Floor:
    """A floor whose plan scales its service beside the wave."""
    floor = lay_floor(**more)
    step = {"kind": "scale", "service": "api", "replicas": replicas, "timeoutSeconds": 60}
    floor.plan.spec["waves"][0][place] = [step]
    floor.plan.save(update_fields=["spec"])
    return floor


def wanted(floor: Floor) -> int:
    return int(floor.space.get("deployments", "api")["spec"]["replicas"])


def bounds(floor: Floor) -> tuple[int, int]:
    spec: Json = floor.space.get("horizontalpodautoscalers", "api")["spec"]
    return spec["minReplicas"], spec["maxReplicas"]


def back(floor: Floor, rollout: Rollout) -> Rollout:
    floor.order(rollout, "rollback")
    return drive(rollout, "rolled_back", "rollback_failed", "paused")


@long
def test_replicas_grow_after_the_wave_and_shrink_on_the_way_back(lay_floor: Lay) -> None:
    floor = scaled(lay_floor, 3)
    release = floor.release()
    planned = next(each for each in plans.preview(release).steps if each.kind == "scale")
    assert [(each["before"], each["after"]) for each in planned.differing] == [("1", "3")]
    assert wanted(floor) == 1
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    assert wanted(floor) == 3
    assert rollout.steps.get(kind="scale").observed["ready"] == 3
    assert back(floor, rollout).state == "rolled_back", why(rollout)
    assert (wanted(floor), floor.image("api")[-6:]) == (1, ":1.0.0")
    order = list(rollout.steps.filter(direction="back").values_list("kind", flat=True))
    assert order == ["restore_scale", "restore_image", "wait_rollout", "verify_digests"]


@long
def test_what_grew_before_the_wave_is_no_foreign_change_for_it(lay_floor: Lay) -> None:
    floor = scaled(lay_floor, 2, place="before", services=("api", "later"), waves=(("api",), ("later",)))
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    assert back(floor, rollout).state == "rolled_back", why(rollout)
    assert wanted(floor) == 1


@long
def test_an_autoscaler_keeps_the_replicas_and_gets_other_bounds(lay_floor: Lay) -> None:
    floor = scaled(lay_floor, 4)
    floor.space.create(autoscaler("api", minimum=1, maximum=3))
    rollout = drive(floor.start(), *ENDS, seconds=60)
    assert rollout.state == "succeeded", why(rollout)
    assert bounds(floor) == (4, 4)
    intent = rollout.steps.get(kind="scale").intent or {}
    assert {each["field"] for each in intent["changes"]} == {"minReplicas", "maxReplicas"}
    assert back(floor, rollout).state == "rolled_back", why(rollout)
    assert bounds(floor) == (1, 3)


@long
def test_what_somebody_else_scaled_meanwhile_holds_and_is_named(lay_floor: Lay) -> None:
    floor = scaled(lay_floor, 3)
    rollout = drive(floor.start(), *ENDS)
    floor.space.patch("deployments", "api", {"spec": {"replicas": 5}}, kind="merge")
    wait_for(lambda: wanted(floor) == 5, what="five replicas")
    assert back(floor, rollout).state == "paused"
    assert rollout.pause is not None
    assert (rollout.pause["reason"], rollout.pause["args"]["field"]) == ("drift", "spec.replicas")
    assert wanted(floor) == 5
    with translation.override("en"):
        floor.order(rollout, "resume")
    assert drive(rollout, "rolled_back", "rollback_failed").state == "rolled_back"
    assert wanted(floor) == 1


@long
def test_an_autoscaler_that_came_meanwhile_keeps_its_own_bounds_on_the_way_back(lay_floor: Lay) -> None:
    floor = scaled(lay_floor, 3)
    rollout = drive(floor.start(), *ENDS)
    floor.space.create(autoscaler("api", minimum=2, maximum=6))
    assert back(floor, rollout).state == "rolled_back", why(rollout)
    assert (bounds(floor), floor.image("api")[-6:]) == ((2, 6), ":1.0.0")


@long
def test_what_somebody_changes_beside_a_size_is_not_taken_for_ours(
    lay_floor: Lay, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor = scaled(lay_floor, 2, place="before")
    act = scale.Scale.act

    def meddled(kind: scale.Scale, work: Any, change: Any) -> Json:
        by_hand = {"spec": {"template": {"metadata": {"annotations": {"by": "hand"}}}}}
        floor.space.patch("deployments", "api", by_hand)
        return act(kind, work, change)

    monkeypatch.setattr(scale.Scale, "act", meddled)
    rollout = drive(floor.start(), *ENDS)
    assert (rollout.state, wanted(floor)) == ("paused", 2), why(rollout)
    assert rollout.pause is not None
    assert rollout.pause["reason"] == "drift"
    assert "annotations" in rollout.pause["args"]["field"]
