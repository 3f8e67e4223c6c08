"""Pausing, waiting and giving up: how a Deployment is stopped, and how it says that it is stuck."""

from tests.cluster.api import Json
from tests.cluster.objects import (
    Space,
    condition,
    deployment,
    failing,
    image_of,
    rollout_done,
    slow,
    template_patch,
)

OLD, NEW = "registry.test/web:1", "registry.test/web:2"


def test_a_paused_deployment_takes_no_new_template(space: Space) -> None:
    space.create(deployment("web"))
    space.wait_until_done("web")
    space.patch("deployments", "web", {"spec": {"paused": True}})
    space.set_image("web", NEW)
    seen = space.wait("deployments", "web", _observed)
    assert condition(seen, "Progressing")["reason"] == "DeploymentPaused"
    assert condition(seen, "Progressing")["status"] == "Unknown"
    assert not rollout_done(seen)
    assert len(space.replica_sets("web")) == 1
    space.patch("deployments", "web", {"spec": {"paused": None}})
    assert image_of(space.wait_until_done("web")) == NEW
    assert len(space.replica_sets("web")) == 2


def test_a_pause_stops_a_rollout_on_its_way_and_a_resume_ends_it(space: Space) -> None:
    _half_way(space)
    space.patch("deployments", "web", {"spec": {"paused": True}})
    # The new pods that were already asked for become ready; nothing else moves.
    space.wait("deployments", "web", lambda seen: seen["status"].get("readyReplicas") == 5)
    assert _sizes(space) == {OLD: 3, NEW: 2}
    space.patch("deployments", "web", {"spec": {"paused": None}})
    seen = space.wait_until_done("web")
    assert (seen["status"]["replicas"], seen["status"]["updatedReplicas"]) == (4, 4)
    assert _sizes(space) == {OLD: 0, NEW: 4}


def test_scaling_works_while_paused_and_keeps_the_proportion(space: Space) -> None:
    _half_way(space)
    space.patch("deployments", "web", {"spec": {"paused": True}})
    space.patch("deployments", "web", {"spec": {"replicas": 8}}, kind="merge", sub="scale")
    space.wait("deployments", "web", lambda seen: seen["status"].get("replicas") == 10)
    assert _sizes(space) == {OLD: 6, NEW: 4}


def test_a_pod_counts_as_available_only_after_min_ready_seconds(space: Space) -> None:
    space.create(deployment("web", minReadySeconds=3))
    seen = space.wait("deployments", "web", lambda seen: seen.get("status", {}).get("readyReplicas") == 1)
    assert seen["status"].get("availableReplicas", 0) == 0
    assert not rollout_done(seen)
    assert condition(seen, "Available")["reason"] == "MinimumReplicasUnavailable"
    assert space.wait_until_done("web")["status"]["availableReplicas"] == 1


def test_a_passed_deadline_is_told_and_the_old_pods_stay(space: Space) -> None:
    space.create(deployment("web", replicas=2, progressDeadlineSeconds=2))
    space.wait_until_done("web")
    space.patch("deployments", "web", template_patch(NEW, failing("NeverReady")))
    seen = space.wait("deployments", "web", _deadline_passed)
    assert condition(seen, "Progressing")["status"] == "False"
    assert seen["status"]["availableReplicas"] == 2
    assert not rollout_done(seen)


def test_a_good_image_recovers_from_a_passed_deadline(space: Space) -> None:
    space.create(deployment("web", progressDeadlineSeconds=2))
    space.wait_until_done("web")
    space.patch("deployments", "web", template_patch(NEW, failing("NeverReady")))
    space.wait("deployments", "web", _deadline_passed)
    good = {"spec": {"template": {"metadata": {"annotations": {"practice/fail": None}}}}}
    space.patch("deployments", "web", good)
    seen = space.settle("web")
    assert condition(seen, "Progressing")["status"] == "True"


def test_a_pod_that_is_ready_late_undoes_a_passed_deadline(space: Space) -> None:
    space.create(deployment("web", progressDeadlineSeconds=1, pod_annotations=slow("3s")))
    space.wait("deployments", "web", _deadline_passed)
    seen = space.settle("web")
    assert condition(seen, "Progressing")["status"] == "True"


def _half_way(space: Space) -> None:
    """Stop four pods' rollout by 25 % where two new ones were asked for and three old ones are left."""
    space.create(deployment("web", replicas=4))
    space.settle("web")
    space.patch("deployments", "web", template_patch(NEW, slow("1500ms")))
    space.wait("deployments", "web", lambda seen: seen["status"].get("updatedReplicas") == 2)


def _sizes(space: Space) -> dict[str, int]:
    return {image_of(each): each["spec"]["replicas"] for each in space.replica_sets("web")}


def _observed(seen: Json) -> bool:
    return bool(seen["status"].get("observedGeneration") == seen["metadata"]["generation"])


def _deadline_passed(seen: Json) -> bool:
    return condition(seen, "Progressing").get("reason") == "ProgressDeadlineExceeded"
