"""Canaries of Argo Rollouts: what the portal relies on of their controller, and what it sends."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from tests.cluster.api import Json, Refused
from tests.cluster.objects import Space, argo_rollout, condition, deployment, failing, wait_for

pytestmark = pytest.mark.usefixtures("argo_rollouts")

OLD, NEW, BAD = "registry.test/web:1", "registry.test/web:2", "registry.test/web:3"
STEPS: list[Json] = [{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]
HASH = "rollouts-pod-template-hash"


@pytest.fixture
def canary(space: Space) -> Space:
    """Five pods of the old image, healthy, under a Rollout called `web` that pauses at 20 and 50 percent."""
    space.create(argo_rollout("web", steps=STEPS, replicas=5))
    healthy(space)
    return space


def phase(seen: Json) -> str:
    """The phase as the plug-in reads it: of this generation, and not while a pause is being lifted."""
    status = seen.get("status", {})
    current = status.get("observedGeneration") == str(seen["metadata"]["generation"])
    unpausing = status.get("controllerPause") and not status.get("pauseConditions")
    return str(status.get("phase", "")) if current and not unpausing else ""


def healthy(space: Space) -> Json:
    return space.wait("rollouts", "web", lambda seen: phase(seen) == "Healthy")


def paused_at(space: Space, index: int) -> Json:
    def holds(seen: Json) -> bool:
        return phase(seen) == "Paused" and seen["status"].get("currentStepIndex") == index

    return space.wait("rollouts", "web", holds)


def set_image(space: Space, image: str) -> Json:
    """The portal's own patch, sent again where the controller has just written something."""
    return wait_for(lambda: _unless_conflict(lambda: _set_image(space, image)), what="the image to be set")


def _unless_conflict(write: Callable[[], Json]) -> Json | None:
    try:
        return write()
    except Refused as error:
        if error.code != 409:
            raise
        return None


def _set_image(space: Space, image: str) -> Json:
    """Refused where the container is another, or the object has changed."""
    version = space.get("rollouts", "web")["metadata"]["resourceVersion"]
    place = "/spec/template/spec/containers/0"
    operations = [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {"op": "test", "path": f"{place}/name", "value": "web"},
        {"op": "replace", "path": f"{place}/image", "value": image},
    ]
    return space.patch("rollouts", "web", operations, kind="json")


def _put_back(space: Space, template: Json) -> Json:
    """Refused where the object has changed."""
    version = space.get("rollouts", "web")["metadata"]["resourceVersion"]
    operations = [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/spec/template", "value": template},
    ]
    return space.patch("rollouts", "web", operations, kind="json")


def status_patch(space: Space, **status: object) -> Json:
    return space.patch("rollouts", "web", {"status": status}, kind="merge", sub="status")


def pods_by_image(space: Space) -> dict[str, int]:
    images = [each["spec"]["containers"][0]["image"] for each in space.pods("web")]
    return {image: images.count(image) for image in images}


def until(space: Space, found: Callable[[], object], wanted: object) -> None:
    wait_for(lambda: found() == wanted, what=f"{wanted}")


def test_the_first_version_is_healthy_without_its_steps(canary: Space) -> None:
    seen = canary.get("rollouts", "web")
    status = seen["status"]
    assert status["observedGeneration"] == str(seen["metadata"]["generation"])
    assert status["stableRS"] == status["currentPodHash"]
    assert (status["currentStepIndex"], status["availableReplicas"]) == (4, 5)
    [only] = canary.find("replicasets", labelSelector=f"{HASH}={status['stableRS']}")
    assert only["metadata"]["ownerReferences"][0]["kind"] == "Rollout"
    assert condition(seen, "Healthy")["status"] == "True"


def test_a_canary_pauses_at_its_steps_and_goes_on_by_promotion(canary: Space) -> None:
    stable = canary.get("rollouts", "web")["status"]["stableRS"]
    set_image(canary, NEW)
    status = paused_at(canary, 1)["status"]
    assert [each["reason"] for each in status["pauseConditions"]] == ["CanaryPauseStep"]
    assert (status["controllerPause"], status["message"]) == (True, "CanaryPauseStep")
    assert (status["stableRS"], status["currentPodHash"] != stable) == (stable, True)
    assert (status["updatedReplicas"], status["replicas"]) == (1, 5)
    assert pods_by_image(canary) == {OLD: 4, NEW: 1}
    status_patch(canary, pauseConditions=None)
    # Half of five pods lies between two and three: a surge of one allows three of six.
    status = paused_at(canary, 3)["status"]
    assert (status["updatedReplicas"], status["replicas"]) == (3, 6)
    status_patch(canary, pauseConditions=None)
    status = healthy(canary)["status"]
    assert (status["stableRS"], status["currentStepIndex"]) == (status["currentPodHash"], 4)
    until(canary, lambda: pods_by_image(canary), {NEW: 5})


def test_a_promotion_can_be_full(canary: Space) -> None:
    set_image(canary, NEW)
    paused_at(canary, 1)
    status_patch(canary, promoteFull=True)
    assert healthy(canary)["status"].get("promoteFull") is None
    until(canary, lambda: pods_by_image(canary), {NEW: 5})


def test_an_aborted_canary_is_degraded_until_its_template_is_put_back(canary: Space) -> None:
    before = canary.get("rollouts", "web")
    set_image(canary, NEW)
    paused_at(canary, 1)
    status_patch(canary, abort=True)
    seen = canary.wait("rollouts", "web", lambda seen: phase(seen) == "Degraded")
    assert seen["status"]["message"].startswith("RolloutAborted: ")
    assert (seen["status"]["abort"], seen["status"].get("pauseConditions")) == (True, None)
    until(canary, lambda: pods_by_image(canary), {OLD: 5})
    assert phase(canary.get("rollouts", "web")) == "Degraded"
    template = before["spec"]["template"]
    wait_for(lambda: _unless_conflict(lambda: _put_back(canary, template)), what="the template to be back")
    status = healthy(canary)["status"]
    assert (status.get("abort"), status["stableRS"]) == (None, before["status"]["stableRS"])


def test_the_way_back_from_a_pause_needs_no_steps(canary: Space) -> None:
    template = canary.get("rollouts", "web")["spec"]["template"]
    set_image(canary, NEW)
    paused_at(canary, 1)
    canary.patch(
        "rollouts", "web", [{"op": "replace", "path": "/spec/template", "value": template}], kind="json"
    )
    assert healthy(canary)["spec"]["template"]["spec"]["containers"][0]["image"] == OLD
    until(canary, lambda: pods_by_image(canary), {OLD: 5})


def test_a_pause_with_a_duration_ends_by_itself(space: Space) -> None:
    space.create(argo_rollout("web", steps=[{"setWeight": 50}, {"pause": {"duration": "1s"}}], replicas=2))
    healthy(space)
    set_image(space, NEW)
    paused_at(space, 1)
    assert phase(healthy(space)) == "Healthy"


def test_a_pause_by_hand_holds_the_pods_where_they_are(canary: Space) -> None:
    canary.patch("rollouts", "web", {"spec": {"paused": True}}, kind="merge")
    set_image(canary, NEW)
    seen = canary.wait("rollouts", "web", lambda seen: phase(seen) == "Paused")
    assert seen["status"]["message"] == "manually paused"
    assert pods_by_image(canary) == {OLD: 5}
    canary.patch("rollouts", "web", {"spec": {"paused": False}}, kind="merge")
    paused_at(canary, 1)


def test_an_aborted_canary_that_is_paused_by_hand_goes_when_it_is_let_go(canary: Space) -> None:
    set_image(canary, NEW)
    paused_at(canary, 1)
    canary.patch("rollouts", "web", {"spec": {"paused": True}}, kind="merge")
    canary.wait("rollouts", "web", lambda seen: seen["status"].get("message") == "manually paused")
    status_patch(canary, abort=True)
    assert canary.get("rollouts", "web")["status"]["abort"] is True
    # A null takes the field away, so that the spec is as it was before.
    canary.patch("rollouts", "web", {"spec": {"paused": None}}, kind="merge")
    seen = canary.wait("rollouts", "web", lambda seen: phase(seen) == "Degraded")
    assert "paused" not in seen["spec"]
    until(canary, lambda: pods_by_image(canary), {OLD: 5})


def test_a_canary_that_makes_no_progress_is_degraded_at_its_deadline(space: Space) -> None:
    space.create(argo_rollout("web", steps=STEPS[:2], replicas=2, progressDeadlineSeconds=2))
    healthy(space)
    bad = {"op": "add", "path": "/spec/template/metadata/annotations", "value": failing("ErrImagePull")}
    space.patch("rollouts", "web", [bad], kind="json")
    seen = space.wait("rollouts", "web", lambda seen: phase(seen) == "Degraded")
    assert seen["status"]["message"].startswith("ProgressDeadlineExceeded: ")


def test_a_restart_replaces_the_pods_without_a_canary(canary: Space) -> None:
    pods = {each["metadata"]["uid"] for each in canary.pods("web")}
    newest = max(each["metadata"]["creationTimestamp"] for each in canary.pods("web"))
    # Only pods that are older by their second are replaced.
    at = (datetime.fromisoformat(newest) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    before = canary.get("rollouts", "web")["status"]
    canary.patch("rollouts", "web", {"spec": {"restartAt": at}}, kind="merge")
    seen = canary.wait("rollouts", "web", lambda seen: seen["status"].get("restartedAt") == at)
    assert seen["spec"]["restartAt"] == at
    assert healthy(canary)["status"]["currentPodHash"] == before["currentPodHash"]
    until(canary, lambda: len(canary.pods("web")), 5)
    assert pods.isdisjoint(each["metadata"]["uid"] for each in canary.pods("web"))


def test_a_template_can_be_the_one_of_a_deployment(space: Space) -> None:
    space.create(deployment("web", image=OLD, replicas=0))
    named = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    body = argo_rollout("web", steps=STEPS[:2], replicas=2, workloadRef=named)
    for field in ("template", "selector"):
        del body["spec"][field]
    space.create(body)
    seen = healthy(space)
    assert "template" not in space.get("rollouts", "web")["spec"]
    changed = space.set_image("web", NEW)
    paused_at(space, 1)
    seen = space.get("rollouts", "web")
    assert seen["status"]["workloadObservedGeneration"] == str(changed["metadata"]["generation"])
    # A fifth of two pods: one of three, with the surge, is nearest.
    assert pods_by_image(space) == {OLD: 2, NEW: 1}
    status_patch(space, pauseConditions=None)
    until(space, lambda: pods_by_image(space), {NEW: 2})


def test_status_and_spec_are_two_halves_and_both_are_guarded(canary: Space) -> None:
    before = canary.get("rollouts", "web")
    canary.patch("rollouts", "web", {"status": {"abort": True}}, kind="merge")
    canary.patch("rollouts", "web", {"spec": {"replicas": 9}}, kind="merge", sub="status")
    seen = canary.get("rollouts", "web")
    assert (seen["spec"]["replicas"], seen["status"].get("abort")) == (5, None)
    assert seen["metadata"]["generation"] == before["metadata"]["generation"]
    old = {"metadata": {"resourceVersion": "1"}, "status": {"pauseConditions": None}}
    with pytest.raises(Refused) as stale:
        canary.patch("rollouts", "web", old, kind="merge", sub="status")
    assert (stale.value.code, stale.value.reason) == (409, "Conflict")
    with pytest.raises(Refused) as strategic:
        canary.patch("rollouts", "web", {"spec": {"paused": True}}, kind="strategic")
    assert strategic.value.code == 415
    wrong = [{"op": "test", "path": "/spec/template/spec/containers/0/name", "value": "other"}]
    with pytest.raises(Refused) as unlike:
        canary.patch("rollouts", "web", wrong, kind="json")
    assert (unlike.value.code, unlike.value.reason) == (422, "Invalid")


def test_annotations_of_a_custom_resource_are_no_new_generation(canary: Space) -> None:
    before = healthy(canary)["metadata"]["generation"]
    canary.patch("rollouts", "web", {"metadata": {"annotations": {"portal/step": "1"}}}, kind="merge")
    assert canary.get("rollouts", "web")["metadata"]["generation"] == before
