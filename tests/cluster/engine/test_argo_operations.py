"""A restart, other resources and another size of a workload of Argo Rollouts, and what takes them back."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from releases.rollouts import operations, plans
from releases.rollouts.models import Rollout
from releases.rollouts.steps import restart
from tests.cluster.api import Json
from tests.cluster.engine.conftest import Lay
from tests.cluster.engine.test_argo_rollouts import BACK, ENDS, STEPS, catalogued
from tests.cluster.engine.test_operations import LIMITS, approved
from tests.cluster.objects import argo_rollout
from tests.rollouts.floor import Floor, digest_for, drive, why
from tests.soak import long

pytestmark = [pytest.mark.usefixtures("argo_rollouts"), long]
PINNED = f"registry.test/floor/api:1.0.0@{digest_for('api', '1.0.0')}"


@pytest.fixture
def floor(lay_floor: Lay) -> Floor:
    """A floor whose one service is a healthy Rollout that pauses twice on the way to a new version."""
    body = argo_rollout("api", steps=STEPS, image=PINNED, replicas=2)
    made = lay_floor(objects={"api": body}, unsettled=("api",))
    catalogued(made)
    return made


def carried_out(floor: Floor, **data: Any) -> Rollout:
    """Approve an operation, look at its dry run, start it and drive it to its end."""
    release = approved(floor, **data)
    assert not plans.preview(release).errors
    return drive(operations.start_rollout(release.number, actor=floor.actor), *ENDS, seconds=60)


def spec_of(floor: Floor) -> Json:
    found: Json = floor.space.get("rollouts", "api")["spec"]
    return found


def test_a_restart_replaces_the_pods_and_begins_no_canary(floor: Floor) -> None:
    before = {pod["metadata"]["uid"] for pod in floor.space.pods("api")}
    template = spec_of(floor)["template"]
    rollout = carried_out(floor, kind="restart")
    assert rollout.state == "succeeded", why(rollout)
    assert spec_of(floor)["template"] == template
    assert before.isdisjoint(pod["metadata"]["uid"] for pod in floor.space.pods("api"))


def test_a_restart_in_the_second_that_made_the_pods_replaces_them_too(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = [pod["metadata"] for pod in floor.space.pods("api")]
    second = max(datetime.fromisoformat(each["creationTimestamp"]) for each in pods)
    monkeypatch.setattr(restart, "clock", SimpleNamespace(now=lambda: second))
    rollout = carried_out(floor, kind="restart")
    assert rollout.state == "succeeded", why(rollout)
    left = {each["uid"] for each in pods} & {pod["metadata"]["uid"] for pod in floor.space.pods("api")}
    assert not left


def test_resources_are_set_past_the_canarys_own_pauses_and_taken_back(floor: Floor) -> None:
    rollout = carried_out(floor, kind="set_resources", container="web", **LIMITS)
    assert rollout.state == "succeeded", why(rollout)
    [container] = spec_of(floor)["template"]["spec"]["containers"]
    assert (container["resources"]["limits"], container["image"]) == ({"memory": "256Mi"}, PINNED)
    floor.order(rollout, "rollback")
    assert drive(rollout, *BACK, seconds=60).state == "rolled_back", why(rollout)
    [container] = spec_of(floor)["template"]["spec"]["containers"]
    assert not container.get("resources")


def test_replicas_are_set_and_taken_back(floor: Floor) -> None:
    rollout = carried_out(floor, kind="scale", replicas=3)
    assert (rollout.state, spec_of(floor)["replicas"]) == ("succeeded", 3), why(rollout)
    floor.order(rollout, "rollback")
    assert drive(rollout, *BACK, seconds=60).state == "rolled_back", why(rollout)
    assert spec_of(floor)["replicas"] == 2
