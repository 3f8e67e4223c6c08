"""runbook-api as its example ships, in its three environments: watched by its health's own numbers, and back.

On the real control plane nodes are simulated (examples.py); nothing is left out of the plans.
"""

from typing import Any

import pytest

from portal import clock
from releases.rollouts.models import Rollout
from releases.schedules import due, jobs, work
from releases.schedules import operations as runs
from releases.schedules.models import Backup, Schedule, ScheduledRun
from releases.schedules.recovery import recovery_of
from tests.cluster.engine.examples import EXAMPLES, System
from tests.cluster.objects import wait_for
from tests.rollouts.floor import drive, states, why
from tests.soak import long

SYSTEM = SERVICE = "runbook-api"
PRODUCTION = "runbook-api-production"
ENDS = ("succeeded", "failed", "paused", "stopped")
EACH = ("record_running", "set_image", "wait_rollout", "health")
# What each environment's plan asks, in its order; what ran is recorded first, and what runs verified last.
STEPS = {
    "runbook-api-development": [*EACH, "verify_digests"],
    "runbook-api-staging": ["image_exists", "access_check", *EACH, "http", "run_job", "verify_digests"],
}


@pytest.fixture
def runbook(settings: Any, system: System) -> System:
    """The example as it is shipped, with its manifests."""
    settings.MANIFESTS = str(EXAMPLES.parent / "manifests")
    return system


def start(runbook: System, environment: str, version: str) -> Rollout:
    return runbook.start(runbook.release(environment, {SERVICE: version}))


def scheduled(name: str) -> ScheduledRun:
    """Let a schedule of production be due, and carry its run to the end."""
    due.follow_catalog()
    row = Schedule.objects.get(name=name, environment__name=PRODUCTION)
    row.spec, row.next_at = {**row.spec, "cron": "* * * * *"}, clock.now().replace(second=0, microsecond=0)
    row.save(update_fields=["spec", "next_at"])
    due.take_due()
    run = ScheduledRun.objects.get(schedule=name, outcome="")

    def over() -> ScheduledRun | None:
        ScheduledRun.objects.filter(pk=run.pk, outcome="").update(wake_at=clock.now())
        for pk in runs.claim_due():
            work.carry_on(pk)
        run.refresh_from_db()
        return run if run.outcome else None

    return wait_for(over, what=f"the end of {name}")


def fails_hungry(runbook: System, environment: str) -> Rollout:
    """Roll out a version that takes too much memory, until its health's numbers end it."""
    hungry = start(runbook, environment, "1.5.0-hungry")
    hungry.steps.filter(kind="health", wave=1).update(timeout_seconds=2)
    drive(hungry, *ENDS, seconds=90)
    assert hungry.state == "failed", why(hungry)
    seen = hungry.steps.get(kind="health", wave=1)
    assert "memory.percent" in str(seen.observed), states(hungry)
    return hungry


@long
@pytest.mark.parametrize("environment", STEPS)
def test_before_production_it_goes_out_by_steps_of_its_own_and_a_hungry_version_goes_back(
    runbook: System, environment: str
) -> None:
    namespace = environment.replace("-api", "")
    rollout = drive(start(runbook, environment, "1.5.0"), *ENDS, seconds=90)
    assert rollout.state == "succeeded", why(rollout)
    assert list(rollout.steps.order_by("position").values_list("kind", flat=True)) == STEPS[environment]
    approved = runbook.images(namespace)
    assert approved == {SERVICE: {rollout.release.items.get().image}}
    hungry = fails_hungry(runbook, environment)
    drive(runbook.back(hungry), "rolled_back", "rollback_failed", seconds=90)
    assert (hungry.state, runbook.images(namespace)) == ("rolled_back", approved)


@long
def test_it_goes_out_after_a_backup_and_a_hungry_version_goes_back(runbook: System) -> None:
    rollout = drive(start(runbook, PRODUCTION, "1.5.0"), *ENDS, seconds=90)
    assert rollout.state == "succeeded", why(rollout)
    assert rollout.verdict is not None
    assert rollout.verdict["exact"] is True
    looked = set(rollout.steps.filter(wave=0, state="succeeded").values_list("kind", flat=True))
    assert {"secret_hygiene", "certificate", "headroom"} <= looked
    # The cluster says so already; from now on the portal answers for it.
    applied = rollout.steps.get(kind="apply_manifests")
    assert applied.observed["args"]["count"] == 2
    approved = runbook.images("runbook-production")
    jobs.keep_backups()
    backup = Backup.objects.get()
    assert (backup.rows, backup.size_bytes) == (48210, 73400320)
    for name in ("health", "clean-up"):
        run = scheduled(name)
        assert run.outcome == "succeeded", (run.observed, run.failure)

    hungry = fails_hungry(runbook, PRODUCTION)
    drive(runbook.back(hungry), "rolled_back", "rollback_failed", seconds=90)
    assert (hungry.state, runbook.images("runbook-production")) == ("rolled_back", approved)
    jobs.keep_backups()
    found = recovery_of(backup.service, backup.environment)
    assert (found.recoveries, found.rto_met, found.rpo_met) == (1, True, True)
