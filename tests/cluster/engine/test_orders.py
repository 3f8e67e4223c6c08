"""Pause, stop, resume and foreign hands, while a rollout is on its way."""

import json
from pathlib import Path

import pytest

from portal.audit.models import AuditEntry
from portal.sentences import worded
from releases.catalog.models import Connection
from releases.models import Release
from releases.rollouts import jobs, outcomes, queueing
from releases.rollouts.models import QueuePlace
from tests.cluster.conftest import Cluster
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import deployment
from tests.rollouts.floor import Floor, drive, kinds, states
from tests.soak import long


def slow_floor(lay_floor: Lay) -> Floor:
    """Two waves, the first of which takes some seconds."""
    slow = deployment("slow", image="registry.test/floor/slow:1.0.0", minReadySeconds=3)
    return lay_floor(services=("slow", "later"), waves=(("slow",), ("later",)), objects={"slow": slow})


@long
def test_a_pause_lets_the_running_step_end_and_starts_nothing(lay_floor: Lay) -> None:
    floor = slow_floor(lay_floor)
    rollout = floor.start()
    drive(rollout, "running")
    floor.order(rollout, "pause", reason="lunch")
    drive(rollout, "paused")
    assert rollout.pause is not None
    assert rollout.pause["reason"] == "person"
    assert Release.objects.get(pk=rollout.release_id).state == "paused"
    floor.space.wait_until_done("slow")
    drive(rollout, "paused")
    assert states(rollout)["2.later.set_image"] in {"waiting", "ready"}
    floor.order(rollout, "resume")
    drive(rollout, "succeeded")
    assert "rollout.resumed" in kinds(rollout)
    assert floor.image("later") == floor.wanted("later", "2.0.0")


@long
def test_after_a_stop_nothing_begins(lay_floor: Lay) -> None:
    floor = slow_floor(lay_floor)
    rollout = floor.start()
    drive(rollout, "running")
    floor.order(rollout, "stop", reason="wrong version")
    drive(rollout, "stopped")
    seen = kinds(rollout)
    assert "step.started" not in seen[seen.index("rollout.stopped") :]
    assert floor.image("later").endswith(":1.0.0")
    release = Release.objects.get(pk=rollout.release_id)
    assert release.state == "failed"
    floor.order(rollout, "rollback")
    drive(rollout, "rolled_back")
    assert floor.image("slow").endswith(":1.0.0")


@long
def test_a_stop_starts_nobody_who_waited_behind_it(lay_floor: Lay) -> None:
    floor = slow_floor(lay_floor)
    rollout = drive(floor.start(), "running")
    waiting = floor.release("3.0.0", services=("slow",))
    assert isinstance(queueing.ask_start(waiting.pk, actor=floor.actor), QueuePlace)
    floor.order(rollout, "stop", reason="wrong version")
    drive(rollout, "stopped")
    jobs.begin_queued()
    assert (waiting.queue_places.get().state, waiting.rollouts.exists()) == ("queued", False)
    floor.order(rollout, "rollback")
    drive(rollout, "rolled_back")
    assert floor.image("slow").endswith(":1.0.0")
    jobs.begin_queued()
    assert waiting.queue_places.get().state == "given_back", "the rollback has pinned the service"


@long
def test_a_stop_in_the_queue_touches_nothing(lay_floor: Lay) -> None:
    floor = lay_floor(services=("web",))
    rollout = floor.start()
    floor.order(rollout, "stop")
    drive(rollout, "stopped")
    assert floor.image("web").endswith(":1.0.0")
    assert "step.started" not in kinds(rollout)


@long
def test_a_foreign_change_in_mid_rollout_pauses_and_names_object_field_and_manager(lay_floor: Lay) -> None:
    floor = slow_floor(lay_floor)
    rollout = floor.start()
    drive(rollout, "running")
    floor.space.patch("deployments", "slow", {"spec": {"replicas": 3}}, fieldManager="somebody")
    drive(rollout, "paused")
    assert rollout.pause is not None
    assert rollout.pause["reason"] == "drift"
    args = rollout.pause["args"]
    assert (args["object"], args["field"], args["manager"]) == (
        "deployment/slow",
        "spec.replicas",
        "somebody",
    )
    floor.order(rollout, "resume", reason="scaled for the sale")
    drive(rollout, "succeeded")
    assert floor.space.get("deployments", "slow")["spec"]["replicas"] == 3
    entry = AuditEntry.objects.get(action="drift.accepted", release=rollout.release_id)
    body = json.loads(entry.body)
    assert (entry.actor, body["reason"]) == (floor.shop.cast.author.username, "scaled for the sale")
    assert body["after"]["drift"] == args


def test_a_foreign_image_is_not_overwritten(lay_floor: Lay) -> None:
    floor = slow_floor(lay_floor)
    rollout = floor.start()
    drive(rollout, "running")
    floor.space.set_image("later", "registry.test/floor/later:hotfix", fieldManager="somebody")
    drive(rollout, "paused")
    assert rollout.pause is not None
    assert rollout.pause["reason"] == "drift"
    assert floor.image("later").endswith(":hotfix")


@long
def test_a_deleted_object_pauses(lay_floor: Lay) -> None:
    floor = slow_floor(lay_floor)
    rollout = floor.start()
    drive(rollout, "running")
    floor.space.delete("deployments", "later")
    drive(rollout, "paused")
    assert rollout.pause is not None
    assert rollout.pause["args"]["after"] == "deleted"


@long
def test_the_replicas_of_an_autoscaled_workload_are_never_drift(lay_floor: Lay) -> None:
    floor = slow_floor(lay_floor)
    floor.space.api.create(
        f"apis/autoscaling/v2/namespaces/{floor.space.name}/horizontalpodautoscalers",
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "slow"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "slow"},
                "minReplicas": 1,
                "maxReplicas": 5,
            },
        },
    )
    rollout = floor.start()
    drive(rollout, "running")
    floor.space.patch("deployments", "slow", {"spec": {"replicas": 2}}, fieldManager="autoscaler")
    drive(rollout, "succeeded", "paused")
    assert rollout.state == "succeeded"
    assert floor.space.get("deployments", "slow")["spec"]["replicas"] == 2


@long
def test_a_workload_of_argo_cd_whose_application_is_not_there_is_refused(lay_floor: Lay) -> None:
    floor = lay_floor(services=("web",))
    tracking = f"web:apps/Deployment:{floor.space.name}/web"
    patch = {"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": tracking}}}
    floor.space.patch("deployments", "web", patch)
    rollout = drive(floor.start(), "failed", "succeeded")
    step = rollout.steps.get(state="failed")
    assert step.failure is not None
    assert step.failure["code"] == "argo_unread"
    assert floor.image("web").endswith(":1.0.0")


@long
def test_a_cluster_that_is_lost_pauses_and_goes_on_when_it_is_back(
    lay_floor: Lay, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = ({"kind": "set_image"}, {"kind": "wait_rollout", "timeoutSeconds": 2, "settleSeconds": 0})
    slow = deployment("slow", image="registry.test/floor/slow:1.0.0", minReadySeconds=3)
    floor = lay_floor(
        services=("slow", "later"), waves=(("slow",), ("later",)), each=each, objects={"slow": slow}
    )
    monkeypatch.setattr(outcomes, "LOST_SECONDS", 1)
    file, there = tmp_path / "kubeconfig", cluster.kubeconfig_path.read_text()
    file.write_text(there)
    connections = Connection.objects.filter(pk=floor.environment.cluster_id)
    connections.update(spec={"kubeconfigRef": f"file:{file}"})
    rollout = floor.start()
    drive(rollout, "running")
    file.write_text(there.replace(floor.space.api.server, "https://127.0.0.1:9"))
    drive(rollout, "paused")
    assert rollout.pause is not None
    assert rollout.pause["reason"] == "cluster_lost"
    assert "127.0.0.1:9" in worded(rollout.pause["args"]["message"])
    file.write_text(there)
    floor.order(rollout, "resume")
    drive(rollout, "running", "verifying", "succeeded")
