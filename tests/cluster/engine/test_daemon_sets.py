"""A service that runs once on each node: forward, failing, back, and restarted."""

from typing import Any

import pytest

from portal.errors import Invalid
from releases.rollouts import plans
from tests.cluster.api import Json
from tests.cluster.engine.conftest import Lay
from tests.cluster.engine.test_operations import approved, carried_out, watch
from tests.cluster.objects import daemon_set, failing
from tests.rollouts.floor import Floor, digest_for, drive, why
from tests.soak import long

pytestmark = long
ENDS = ("failed", "succeeded", "paused")
BACK = ("rolled_back", "rollback_failed", "paused")
PINNED = f"registry.test/floor/api:1.0.0@{digest_for('api', '1.0.0')}"


def lay_agent(lay_floor: Lay, *, settled: bool = True, **options: Any) -> Floor:
    """Lay a floor whose one service is a DaemonSet."""
    floor = lay_floor(objects={"api": daemon_set("api", image=PINNED, **options)}, unsettled=("api",))
    service = floor.services["api"]
    service.spec = {"workloads": [{"kind": "DaemonSet", "name": "api", "containers": ["web"]}]}
    service.save(update_fields=["spec"])
    if settled:
        floor.space.wait("daemonsets", "api", lambda seen: seen["status"].get("numberAvailable"))
    return floor


def images(floor: Floor) -> set[str]:
    return {pod["spec"]["containers"][0]["image"] for pod in floor.space.pods("api")}


def template_of(floor: Floor) -> Json:
    found: Json = floor.space.get("daemonsets", "api")["spec"]["template"]
    return found


def test_it_goes_out_on_every_node_and_comes_back(lay_floor: Lay) -> None:
    floor = lay_agent(lay_floor)
    before = template_of(floor)
    release = floor.release()
    assert not plans.preview(release).errors
    rollout = drive(floor.start("3.0.0"), *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    assert images(floor) == {floor.wanted("api", "3.0.0")}
    seen = rollout.steps.get(kind="wait_rollout", direction="forward").observed
    assert (seen["code"], seen["ready"]) == ("rolled_out", seen["wanted"])
    assert (rollout.verdict or {})["exact"] is True
    floor.order(rollout, "rollback")
    assert drive(rollout, *BACK).state == "rolled_back", why(rollout)
    assert (images(floor), template_of(floor)) == ({PINNED}, before)


def test_a_new_pod_that_cannot_start_fails_it_in_seconds(lay_floor: Lay) -> None:
    floor = lay_agent(lay_floor, settled=False, pod_annotations=failing("ErrImagePull", message="no such"))
    rollout = drive(floor.start(), *ENDS)
    failure = rollout.steps.get(kind="wait_rollout").failure or {}
    assert (rollout.state, failure["code"]) == ("failed", "ErrImagePull"), why(rollout)
    assert "no such" in failure["message"]


def test_one_that_is_updated_on_delete_is_named_before(lay_floor: Lay) -> None:
    floor = lay_agent(lay_floor, updateStrategy={"type": "OnDelete"})
    errors = [each for each in plans.preview(floor.release()).errors if each.kind == "set_image"]
    assert len(errors) == 1
    rollout = drive(floor.start("3.0.0"), *ENDS)
    failure = rollout.steps.get(kind="set_image").failure or {}
    assert (rollout.state, failure["code"], images(floor)) == ("failed", "strategy_not_rolling", {PINNED})


def test_it_is_restarted_and_another_number_of_nodes_is_no_finding(lay_floor: Lay) -> None:
    floor = lay_agent(lay_floor)
    before = {pod["metadata"]["uid"] for pod in floor.space.pods("api")}
    rollout = carried_out(floor, kind="restart")
    assert rollout.state == "succeeded", why(rollout)
    assert before.isdisjoint(pod["metadata"]["uid"] for pod in floor.space.pods("api"))
    watch(floor)
    seen = floor.services["api"].running.get().seen
    assert (seen["health"], "replicas" in seen["workloads"]["DaemonSet/api"]) == ("healthy", False)


def test_it_has_no_size_to_set(lay_floor: Lay) -> None:
    floor = lay_agent(lay_floor)
    with pytest.raises(Invalid) as refused:
        approved(floor, kind="scale", replicas=2)
    assert [each["field"] for each in refused.value.missing] == ["workload"]
