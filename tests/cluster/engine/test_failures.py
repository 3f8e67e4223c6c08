"""What goes wrong is named in seconds, in the cluster's words; siblings end and nothing new starts."""

from typing import Any

import pytest

from portal import clock
from releases.models import Release
from releases.rollouts.models import Rollout, Step
from tests.cluster.conftest import USES_CONTROL_PLANE
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import deployment, failing
from tests.rollouts.floor import Floor, drive, kinds, states, why
from tests.soak import long

Json = dict[str, Any]
ENDS = ("failed", "succeeded", "paused")
BRIEFLY = ({"kind": "set_image"}, {"kind": "wait_rollout", "timeoutSeconds": 3})


def broken_floor(lay_floor: Lay, reason: str, *, services: tuple[str, ...] = ("web",), **more: str) -> Floor:
    """A floor on which `web` fails in the way named, before as after."""
    body = deployment("web", image="registry.test/floor/web:1.0.0", pod_annotations=failing(reason, **more))
    return lay_floor(services=services, objects={"web": body}, unsettled=("web",))


def failed_step(rollout: Rollout) -> Step:
    return rollout.steps.get(state="failed")


def failure_past_its_time(
    lay_floor: Lay, *, pod_annotations: Json | None = None, pod_spec: Json | None = None
) -> Json:
    """What a step says that ended by its time: nothing about the pods was past help by then."""
    image = "registry.test/floor/web:1.0.0"
    body = deployment("web", image=image, pod_annotations=pod_annotations, pod_spec=pod_spec)
    floor = lay_floor(services=("web",), each=BRIEFLY, objects={"web": body}, unsettled=("web",))
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "failed", why(rollout)
    return failed_step(rollout).failure or {}


def mounting(**source: Json) -> Json:
    """What a pod spec has besides, where the pod mounts one volume."""
    image = "registry.test/floor/web:1.0.0"
    mounts = [{"name": "config", "mountPath": "/config"}]
    return {
        "containers": [{"name": "web", "image": image, "volumeMounts": mounts}],
        "volumes": [{"name": "config", **source}],
    }


@long
@pytest.mark.parametrize(
    ("reason", "code", "seconds"),
    [
        ("InvalidImageName", "InvalidImageName", 8),
        ("ErrImagePull", "ErrImagePull", 12),
        ("CrashLoopBackOff", "CrashLoopBackOff", 25),
        ("OOMKilled", "OOMKilled", 25),
        ("RunContainerError", "RunContainerError", 30),
    ],
)
def test_a_broken_container_is_named_with_its_message(
    lay_floor: Lay, reason: str, code: str, seconds: float
) -> None:
    floor = broken_floor(lay_floor, reason, message="words of the runtime")
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "failed"
    step = failed_step(rollout)
    failure = step.failure
    assert failure is not None
    assert step.started_at is not None
    assert step.ended_at is not None
    assert (step.ended_at - step.started_at).total_seconds() < seconds
    assert failure["code"] == code
    assert failure["container"] == "web"
    assert failure["pod"].startswith("web-")
    assert failure["message"]
    has_run = failure["exit_code"] is not None
    assert any("words of the runtime" in line for line in failure["log"]) == (
        has_run and not USES_CONTROL_PLANE
    )
    assert Release.objects.get(pk=rollout.release_id).state == "failed"


@long
@pytest.mark.skipif(USES_CONTROL_PLANE, reason="simulated nodes mount nothing")
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"configMap": {"name": "web-config"}}, 'configmap "web-config" not found'),
        ({"secret": {"secretName": "web-key"}}, 'secret "web-key" not found'),
    ],
)
def test_a_volume_that_cannot_be_mounted_is_named(lay_floor: Lay, source: Json, words: str) -> None:
    failure = failure_past_its_time(lay_floor, pod_spec=mounting(**source))
    assert failure["code"] == "FailedMount"
    assert failure["message"] == f'MountVolume.SetUp failed for volume "config" : {words}'
    assert failure["pod"].startswith("web-")
    assert failure["events"][-1]["reason"] == "FailedMount"


@long
def test_a_claim_that_nothing_fulfils_is_named_in_the_schedulers_words(lay_floor: Lay) -> None:
    claim = {"persistentVolumeClaim": {"claimName": "web-data"}}
    failure = failure_past_its_time(lay_floor, pod_spec=mounting(**claim))
    assert failure["code"] == "Unschedulable"
    assert 'persistentvolumeclaim "web-data" not found' in failure["message"]
    assert failure["events"][-1]["reason"] == "FailedScheduling"


@long
@pytest.mark.skipif(USES_CONTROL_PLANE, reason="simulated nodes probe nothing")
def test_what_ends_by_its_time_keeps_the_log_and_the_events_of_the_pod(lay_floor: Lay) -> None:
    failure = failure_past_its_time(lay_floor, pod_annotations=failing("NeverReady"))
    assert failure["code"] == "Unhealthy"
    assert "probe failed" in failure["message"]
    assert failure["events"][-1]["reason"] == "Unhealthy"
    assert any("listening" in line for line in failure["log"])


@long
def test_what_ends_by_its_time_names_the_pod_where_nothing_was_said_of_it(lay_floor: Lay) -> None:
    failure = failure_past_its_time(lay_floor, pod_annotations=failing("LateReady", after="1h"))
    assert (failure["code"], failure["container"]) == ("timeout", "web")
    assert failure["pod"].startswith("web-")
    assert any("listening" in line for line in failure["log"]) != USES_CONTROL_PLANE


@long
def test_siblings_end_and_nothing_new_starts(lay_floor: Lay) -> None:
    slow = deployment("slow", image="registry.test/floor/slow:1.0.0", minReadySeconds=20)
    body = deployment(
        "web", image="registry.test/floor/web:1.0.0", pod_annotations=failing("InvalidImageName")
    )
    floor = lay_floor(
        services=("web", "slow", "later"),
        waves=(("web", "slow"), ("later",)),
        objects={"web": body, "slow": slow},
        unsettled=("web", "slow"),
    )
    rollout = drive(floor.start(), *ENDS)
    found = states(rollout)
    assert rollout.state == "failed"
    assert found["1.web.wait_rollout"] == "failed"
    assert found["1.slow.wait_rollout"] == "cancelled"
    assert found["2.later.set_image"] == "waiting"
    assert floor.image("later").endswith(":1.0.0")


@long
def test_a_skip_with_its_reason_goes_on_to_the_next_wave(lay_floor: Lay) -> None:
    body = deployment(
        "web", image="registry.test/floor/web:1.0.0", pod_annotations=failing("InvalidImageName")
    )
    floor = lay_floor(
        services=("web", "later"), waves=(("web",), ("later",)), objects={"web": body}, unsettled=("web",)
    )
    rollout = drive(floor.start(), *ENDS)
    floor.order(rollout, "skip", step=failed_step(rollout), reason="known on this cluster")
    drive(rollout, "verifying")
    assert floor.image("later") == floor.wanted("later", "2.0.0")
    step = rollout.steps.get(key="1.web.wait_rollout")
    assert (step.state, step.reason) == ("skipped", "known on this cluster")
    # A skip hides nothing: the old pod still runs, and verification says so until that is accepted too.
    verify = rollout.steps.get(key="after.verify_digests")
    drive(rollout, "verifying")
    verify.refresh_from_db()
    assert verify.observed["args"] == {"services": "web"}
    floor.order(rollout, "skip", step=verify, reason="known as well")
    drive(rollout, "succeeded")


@long
def test_a_retry_is_a_new_attempt_and_keeps_the_old_one(lay_floor: Lay) -> None:
    floor = broken_floor(lay_floor, "InvalidImageName")
    rollout = drive(floor.start(), *ENDS)
    floor.order(rollout, "retry", step=failed_step(rollout))
    drive(rollout, "running", "failed")
    drive(rollout, "failed")
    step = failed_step(rollout)
    assert step.attempt == 2
    assert [each["failure"]["code"] for each in step.history] == ["InvalidImageName"]
    assert kinds(rollout).count("step.failed") == 2


@long
def test_a_failed_rollout_goes_back(lay_floor: Lay) -> None:
    body = deployment(
        "web", image="registry.test/floor/web:1.0.0", pod_annotations=failing("InvalidImageName")
    )
    floor = lay_floor(
        services=("first", "web"), waves=(("first",), ("web",)), objects={"web": body}, unsettled=("web",)
    )
    rollout = drive(floor.start(), *ENDS)
    floor.order(rollout, "rollback")
    # The old version was broken as well: the way back says so rather than claim success.
    drive(rollout, "rollback_failed", "rolled_back")
    assert rollout.state == "rollback_failed"
    assert floor.image("web").endswith(":1.0.0")
    step = rollout.steps.get(direction="back", state="failed")
    floor.order(rollout, "skip", step=step, reason="it never ran")
    drive(rollout, "rolled_back")
    assert floor.image("first").endswith(":1.0.0")
    assert rollout.pins.filter(lifted_at=None).exists()


@long
def test_a_quota_is_told_in_the_clusters_own_words(lay_floor: Lay) -> None:
    floor = lay_floor(services=("web",))
    floor.space.create(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "full"},
            "spec": {"hard": {"pods": "1"}},
        }
    )
    rollout = drive(floor.start(), *ENDS)
    failure = failed_step(rollout).failure
    assert failure is not None
    assert failure["code"] == "FailedCreate"
    assert "exceeded quota" in failure["message"]
    assert rollout.ended_at is None or rollout.ended_at <= clock.now()
