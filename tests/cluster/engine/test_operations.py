"""A restart, another size, other resources and a Job of a service that runs, and what takes them back."""

from typing import Any

from portal.integrations.kubernetes.client import connect
from releases import operations as release_operations
from releases.catalog.models import Running
from releases.models import Release
from releases.rollouts import operations, overview, plans
from releases.rollouts.findings.comparing import look
from releases.rollouts.models import Finding, Pin, Rollout
from releases.rollouts.rounds import read_view
from tests.cluster.api import Json
from tests.cluster.contract.autoscaling import autoscaler
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import cron_job
from tests.factories import approve_all
from tests.rollouts.floor import Floor, digest_for, drive, pinned, why
from tests.soak import long

ENDS = ("failed", "succeeded", "paused")
BACK = ("rolled_back", "rollback_failed", "paused")
RESTARTED = "kubectl.kubernetes.io/restartedAt"
LIMITS = {"limits": {"memory": "256Mi"}, "requests": {"cpu": "20m"}}


def watch(floor: Floor) -> None:
    """Look at the namespace as the watcher does."""
    environment = floor.environment
    look(environment, read_view(connect(environment.cluster.spec), environment))


def approved(floor: Floor, **data: Any) -> Release:
    """Let an operation on what the watcher sees be approved."""
    watch(floor)
    made = release_operations.create_operation("api", floor.environment.name, data, actor=floor.actor)
    release = release_operations.submit_release(made.number, actor=floor.actor)
    approve_all(release)
    release.refresh_from_db()
    return release


def carried_out(floor: Floor, **data: Any) -> Rollout:
    """Approve and start an operation, and drive it to its end."""
    rollout = operations.start_rollout(approved(floor, **data).number, actor=floor.actor)
    return drive(rollout, *ENDS, seconds=60)


def spec_of(floor: Floor) -> Json:
    found: Json = floor.space.get("deployments", "api")["spec"]
    return found


def resources_of(floor: Floor) -> Json:
    [container] = spec_of(floor)["template"]["spec"]["containers"]
    found: Json = container.get("resources") or {}
    return found


@long
def test_a_restart_replaces_the_pods_and_nothing_else(lay_floor: Lay) -> None:
    floor = lay_floor(objects=pinned())
    before, image = {pod["metadata"]["uid"] for pod in floor.space.pods("api")}, floor.image("api")
    release = approved(floor, kind="restart")
    [planned] = plans.preview(release).changing
    assert (planned.kind, planned.error) == ("restart", "")
    rollout = drive(operations.start_rollout(release.number, actor=floor.actor), *ENDS, seconds=60)
    assert rollout.state == "succeeded", why(rollout)
    assert spec_of(floor)["template"]["metadata"]["annotations"][RESTARTED]
    assert floor.image("api") == image
    assert before.isdisjoint(pod["metadata"]["uid"] for pod in floor.space.pods("api"))
    assert rollout.verdict is not None
    assert rollout.verdict["exact"] is True
    assert len(rollout.verdict["services"]) == 1


@long
def test_a_restart_is_not_taken_back_and_says_so(lay_floor: Lay) -> None:
    floor = lay_floor(objects=pinned())
    rollout = carried_out(floor, kind="restart")
    assert ["api" in each for each in overview.what_stays(rollout)] == [True]
    assert overview.way_back(rollout) == []


@long
def test_an_operation_changes_nothing_about_what_should_run(lay_floor: Lay) -> None:
    floor = lay_floor(objects=pinned())
    drive(floor.start(), *ENDS)
    row = Running.objects.get(service=floor.services["api"])
    assert carried_out(floor, kind="restart").state == "succeeded"
    watch(floor)
    after = Running.objects.get(pk=row.pk)
    assert (after.expected["digests"], after.release) == (row.expected["digests"], row.release)


@long
def test_a_release_is_taken_back_after_a_restart_as_well(lay_floor: Lay) -> None:
    floor = lay_floor(objects=pinned())
    before = floor.image("api")
    released = drive(floor.start(), *ENDS)
    assert carried_out(floor, kind="restart").state == "succeeded"

    floor.order(released, "rollback")

    assert drive(released, *BACK, seconds=60).state == "rolled_back", why(released)
    assert floor.image("api") == before


@long
def test_what_an_operation_changed_is_no_finding(lay_floor: Lay) -> None:
    floor = lay_floor(objects=pinned())
    watch(floor)
    assert carried_out(floor, kind="scale", replicas=2).state == "succeeded"
    watch(floor)
    assert Running.objects.get(service=floor.services["api"]).seen["ready"] == 2
    assert Finding.objects.count() == 0


@long
def test_resources_are_set_and_taken_back(lay_floor: Lay) -> None:
    floor = lay_floor(objects=pinned())
    before = resources_of(floor)
    rollout = carried_out(floor, kind="set_resources", container="web", **LIMITS)
    assert rollout.state == "succeeded", why(rollout)
    assert resources_of(floor)["limits"] == {"memory": "256Mi"}
    assert [each["then"] for each in overview.way_back(rollout)] != []
    floor.order(rollout, "rollback")
    assert drive(rollout, *BACK, seconds=60).state == "rolled_back", why(rollout)
    assert resources_of(floor) == before
    way = list(rollout.steps.filter(direction="back").values_list("kind", flat=True))
    assert way == ["restore_resources", "wait_rollout", "health", "verify_digests"]
    assert Pin.objects.count() == 0


@long
def test_resources_that_somebody_changes_meanwhile_hold(lay_floor: Lay) -> None:
    floor = lay_floor(objects=pinned())
    rollout = carried_out(floor, kind="set_resources", container="web", **LIMITS)
    foreign = {"spec": {"template": {"metadata": {"annotations": {"by": "somebody"}}}}}
    floor.space.patch("deployments", "api", foreign, kind="merge")
    floor.order(rollout, "rollback")
    assert drive(rollout, *BACK, seconds=60).state == "paused"
    assert (rollout.pause or {})["reason"] == "drift"
    assert resources_of(floor)["limits"] == {"memory": "256Mi"}


@long
def test_a_container_that_is_not_there_is_never_added(lay_floor: Lay) -> None:
    floor = lay_floor(objects=pinned())
    release = approved(floor, kind="set_resources", container="other", **LIMITS)
    [wrong] = plans.preview(release).errors
    assert wrong.kind == "set_resources"
    rollout = drive(operations.start_rollout(release.number, actor=floor.actor), *ENDS)
    assert rollout.state != "succeeded"
    assert len(spec_of(floor)["template"]["spec"]["containers"]) == 1


@long
def test_replicas_are_set_and_taken_back(lay_floor: Lay) -> None:
    floor = lay_floor(objects=pinned())
    rollout = carried_out(floor, kind="scale", replicas=2)
    assert rollout.state == "succeeded", why(rollout)
    assert spec_of(floor)["replicas"] == 2
    floor.order(rollout, "rollback")
    assert drive(rollout, *BACK, seconds=60).state == "rolled_back", why(rollout)
    assert spec_of(floor)["replicas"] == 1


@long
def test_an_autoscaler_gets_both_bounds(lay_floor: Lay) -> None:
    floor = lay_floor(objects=pinned())
    floor.space.create(autoscaler("api", minimum=1, maximum=3))
    rollout = carried_out(floor, kind="scale", replicas=2, most=6)
    assert rollout.state == "succeeded", why(rollout)
    spec = floor.space.get("horizontalpodautoscalers", "api")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 6)


@long
def test_bounds_without_an_autoscaler_are_refused_before_the_start(lay_floor: Lay) -> None:
    floor = lay_floor(objects=pinned())
    release = approved(floor, kind="scale", replicas=2, most=6)
    assert [step.kind for step in plans.preview(release).errors] == ["scale"]


@long
def test_a_job_of_the_catalog_runs_with_the_image_that_runs(lay_floor: Lay) -> None:
    floor = lay_floor(objects=pinned())
    floor.space.create(cron_job("api-tidy"))
    service = floor.services["api"]
    service.spec["jobs"] = [{"name": "tidy", "cronJob": "api-tidy", "containers": ["web"], "touches": []}]
    service.save(update_fields=["spec"])
    rollout = carried_out(floor, kind="run_job", job="tidy")
    assert rollout.state == "succeeded", why(rollout)
    [job] = floor.space.find("jobs")
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["image"].partition("@")[2] == digest_for("api", "1.0.0")


@long
def test_a_paused_workload_is_not_restarted(lay_floor: Lay) -> None:
    floor = lay_floor(objects=pinned())
    release = approved(floor, kind="restart")
    floor.space.patch("deployments", "api", {"spec": {"paused": True}}, kind="merge")
    rollout = drive(operations.start_rollout(release.number, actor=floor.actor), *ENDS)
    failure = rollout.steps.get(kind="restart").failure or {}
    assert (rollout.state, failure["code"]) == ("failed", "workload_paused")
