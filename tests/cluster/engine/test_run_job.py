"""A Job of a service beside its wave: made once, watched to its end, named when it fails, never undone."""

import signal
from pathlib import Path

from portal import clock
from releases.rollouts import engine, plans
from releases.rollouts.models import Rollout, Step
from tests.cluster.api import Json
from tests.cluster.conftest import USES_CONTROL_PLANE, Cluster
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import Space, cron_job, failing, wait_for
from tests.faults.proxy import READS, proxy_to
from tests.rollouts.floor import Floor, drive, kinds, lay, states, until, why
from tests.rollouts.processes import processes
from tests.soak import long

ENDS = ("failed", "succeeded", "paused")
STEP: Json = {"kind": "run_job", "service": "api", "job": "migrate"}


def floor_with_job(lay_floor: Lay, *, place: str = "before", **job: object) -> Floor:
    """A floor whose service has a migration that runs before or after its wave."""
    floor = lay_floor()
    floor.space.create(cron_job("api-migrate", **job))
    service = floor.services["api"]
    service.spec["jobs"] = [{"name": "migrate", "cronJob": "api-migrate", "containers": ["web"]}]
    service.save(update_fields=["spec"])
    floor.plan.spec["waves"][0][place] = [STEP]
    floor.plan.save(update_fields=["spec"])
    return floor


def only_job(floor: Floor) -> Json:
    [found] = floor.space.find("jobs")
    return found


def image_of(job: Json) -> str:
    return str(job["spec"]["template"]["spec"]["containers"][0]["image"])


@long
def test_a_migration_runs_to_its_end_before_the_image_is_set(lay_floor: Lay) -> None:
    floor = floor_with_job(lay_floor)
    release = floor.release()
    planned = {step.kind: step for step in plans.preview(release).steps}
    assert (planned["access_check"].error, planned["run_job"].error) == ("", "")
    digest = floor.wanted("api", "2.0.0").rpartition(":")[2]
    assert planned["run_job"].differing[-1]["after"].endswith(digest[:12])
    assert floor.space.find("jobs") == []
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "succeeded"
    job = only_job(floor)
    assert image_of(job) == floor.wanted("api", "2.0.0")
    assert "ownerReferences" not in job["metadata"]
    ran, changed = rollout.steps.get(kind="run_job"), rollout.steps.get(kind="set_image")
    assert ran.ended_at is not None
    assert changed.started_at is not None
    assert ran.ended_at <= changed.started_at
    assert ran.observed["code"] == "job_done"


@long
def test_a_migration_that_fails_leaves_the_image_and_tells_its_last_words(lay_floor: Lay) -> None:
    broken = failing("Exit", after="100ms", exit_code="3", message="column is missing")
    floor = floor_with_job(lay_floor, pod_annotations=broken)
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "failed"
    failure = rollout.steps.get(kind="run_job").failure
    assert failure is not None
    assert (failure["code"], failure["exit_code"]) == ("BackoffLimitExceeded", 3)
    assert failure["message"] == "column is missing"
    assert failure["pod"].startswith(only_job(floor)["metadata"]["name"])
    # The simulated nodes of the control plane have no kubelet that could be asked for a log.
    assert bool(failure["log"]) != USES_CONTROL_PLANE
    assert floor.image("api").endswith(":1.0.0")


@long
def test_a_job_that_may_not_be_looked_at_is_found_again_and_not_made_anew(
    cluster: Cluster, space: Space, tmp_path: Path, transactional_db: None
) -> None:
    with proxy_to(cluster.kubeconfig_path, tmp_path) as (line, kubeconfig):
        floor = floor_with_job(lambda: lay(space, kubeconfig))
        rollout = drive(floor.start(), "running")
        made = only_job(floor)
        line.fault(403, methods=READS, count=9999)
        drive(rollout, *ENDS)
        assert rollout.state == "paused", why(rollout)
        line.faults.clear()
        floor.order(rollout, "resume")
        drive(rollout, *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    assert only_job(floor)["metadata"]["uid"] == made["metadata"]["uid"]


@long
def test_a_retry_is_a_new_job_and_a_rollback_undoes_none(lay_floor: Lay) -> None:
    floor = floor_with_job(lay_floor, pod_annotations=failing("Exit", after="100ms", exit_code="3"))
    rollout = drive(floor.start(), *ENDS)
    step = rollout.steps.get(kind="run_job")
    floor.order(rollout, "retry", step=step)
    drive(rollout, *ENDS)
    names = sorted(job["metadata"]["name"] for job in floor.space.find("jobs"))
    assert [name[-2:] for name in names] == ["a1", "a2"]
    floor.order(rollout, "rollback")
    drive(rollout, "rolled_back", "rollback_failed")
    assert rollout.state == "rolled_back"
    assert len(floor.space.find("jobs")) == 2
    assert not rollout.steps.filter(direction="back").exists()


@long
def test_no_second_attempt_begins_beside_one_that_still_runs(lay_floor: Lay) -> None:
    floor = floor_with_job(lay_floor, pod_annotations=failing("CreateContainerConfigError"))
    rollout = _onward(floor.start())
    wait_for(lambda: _onward(rollout).steps.get(kind="run_job").observed.get("trouble"), what="the trouble")
    rollout.steps.filter(kind="run_job").update(deadline_at=clock.now())
    drive(rollout, *ENDS)
    step = rollout.steps.get(kind="run_job")
    assert (step.state, (step.failure or {})["code"]) == ("failed", "CreateContainerConfigError")
    floor.order(rollout, "retry", step=step)
    wait_for(lambda: _told(rollout, step) == "job_still_runs", what="the second attempt to wait")
    assert step.state == "running"
    first = only_job(floor)["metadata"]["name"]
    floor.space.delete("jobs", first)
    wait_for(
        lambda: _told(rollout, step) != "job_still_runs" and floor.space.find("jobs"),
        what="the second attempt to begin",
    )
    assert only_job(floor)["metadata"]["name"] == f"{first[:-1]}2"


@long
def test_a_job_deleted_while_it_is_watched_is_not_taken_for_done(lay_floor: Lay) -> None:
    floor = floor_with_job(lay_floor, pod_annotations=failing("CreateContainerConfigError"))
    rollout = _onward(floor.start())
    floor.space.delete("jobs", only_job(floor)["metadata"]["name"])
    drive(rollout, "paused", "failed", "succeeded")
    assert rollout.state == "paused"
    step = rollout.steps.get(kind="run_job")
    assert (step.state, (step.failure or {})["code"]) == ("errored", "job_gone")


@long
def test_a_worker_that_dies_after_making_the_job_makes_no_second_one(lay_floor: Lay) -> None:
    floor = floor_with_job(lay_floor)
    with processes() as roles:
        doomed = roles.start("worker", PORTAL_TEST_STOP_POINTS="on", PORTAL_STOP_AT="after_act:run_job")
        rollout = floor.start()
        doomed.wait(timeout=60)
        assert doomed.returncode == -signal.SIGKILL
        made = only_job(floor)["metadata"]["uid"]
        roles.start("worker")
        until(rollout, *ENDS, seconds=40)
    assert rollout.state == "succeeded", states(rollout)
    assert only_job(floor)["metadata"]["uid"] == made
    assert kinds(rollout).count("step.acted") == 2


def _told(rollout: Rollout, step: Step) -> str:
    """What a step says once it has been looked at again, whenever it meant to."""
    Step.objects.filter(pk=step.pk).update(wake_at=None)
    _onward(rollout)
    step.refresh_from_db()
    return str(step.observed.get("code", ""))


def _onward(rollout: Rollout) -> Rollout:
    """Go as far as it goes now."""
    engine.advance(rollout.pk)
    rollout.refresh_from_db()
    return rollout
