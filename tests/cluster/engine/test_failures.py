"""What goes wrong is named in seconds, in the cluster's words; siblings end and nothing new starts."""

import pytest

from portal import clock
from releases.models import Release
from releases.rollouts.models import Rollout, Step
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import deployment, failing
from tests.rollouts.floor import Floor, drive, kinds, states
from tests.soak import long

ENDS = ("failed", "succeeded", "paused")


def broken_floor(lay_floor: Lay, reason: str, *, services: tuple[str, ...] = ("web",), **more: str) -> Floor:
    """A floor on which `web` fails in the way named, before as after."""
    body = deployment("web", image="registry.test/floor/web:1.0.0", pod_annotations=failing(reason, **more))
    return lay_floor(services=services, objects={"web": body}, unsettled=("web",))


def failed_step(rollout: Rollout) -> Step:
    return rollout.steps.get(state="failed")


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
    assert Release.objects.get(pk=rollout.release_id).state == "failed"


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
