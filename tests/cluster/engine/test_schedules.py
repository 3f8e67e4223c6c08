"""Jobs that the clock starts: made once, looked after to their end, held by a stop; and what they report."""

import json
import time
from datetime import timedelta

from approvals.calendar.operations import lift_freeze, stop_line
from portal import clock
from portal.audit.models import AuditEntry
from portal.outbox.models import Message
from releases.catalog.models import Service
from releases.schedules import due, jobs, operations, work
from releases.schedules.models import Backup, Schedule, ScheduledRun
from releases.schedules.recovery import recovery_of
from tests.cluster.api import Json
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import cron_job, failing
from tests.people import acting
from tests.rollouts.floor import Floor, drive
from tests.soak import long

PATIENCE_SECONDS = 60.0
MINUTELY = "* * * * *"
BACKUP: Json = {"name": "backup", "cronJob": "api-backup", "purpose": "backup", "touches": []}
CLEAN: Json = {"name": "clean", "cronJob": "api-clean", "purpose": "retention", "touches": []}


def floor_with_schedules(lay_floor: Lay, *, said: object = None, **pod: str) -> Floor:
    """A floor whose service is backed up, and cleaned up after, by the clock."""
    floor = lay_floor()
    words = {"practice/message": json.dumps(said)} if said is not None else {}
    floor.space.create(cron_job("api-backup", pod_annotations={**words, **pod}))
    floor.space.create(cron_job("api-clean"))
    service = floor.services["api"]
    service.spec.update(jobs=[BACKUP, CLEAN], recovery={"rpoMinutes": 60, "rtoMinutes": 240})
    service.save(update_fields=["spec"])
    floor.environment.spec["schedules"] = [
        {"name": "nightly", "cron": MINUTELY, "what": "job", "service": "api", "job": "backup"},
        {"name": "clean", "cron": MINUTELY, "what": "job", "service": "api", "job": "clean", "keepDays": 30},
    ]
    floor.environment.save(update_fields=["spec"])
    jobs.start_what_is_due()
    return floor


def come_due(name: str) -> ScheduledRun:
    """Let its time have come, and begin it."""
    minute = clock.now().replace(second=0, microsecond=0)
    Schedule.objects.filter(name=name).update(next_at=minute)
    due.take_due()
    return ScheduledRun.objects.get(schedule=name, outcome="")


def carry(run: ScheduledRun) -> ScheduledRun:
    """Do what it has to do next."""
    ScheduledRun.objects.filter(pk=run.pk, outcome="").update(wake_at=clock.now())
    [claimed] = operations.claim_due()
    work.carry_on(claimed)
    run.refresh_from_db()
    return run


def to_the_end(run: ScheduledRun) -> ScheduledRun:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not carry(run).outcome:
        assert time.monotonic() < deadline, run.observed
        time.sleep(0.1)
    return run


def env_of(job: Json) -> dict[str, str]:
    [container] = job["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each["value"] for each in container.get("env") or []}


def service_of(floor: Floor) -> Service:
    return floor.services["api"]


@long
def test_a_backup_is_made_once_and_known_with_what_it_says(lay_floor: Lay) -> None:
    floor = floor_with_schedules(lay_floor, said={"rows": 120, "sizeBytes": 4096})
    run = come_due("nightly")
    carry(run)
    # A worker died after making the Job, before it had written so.
    ScheduledRun.objects.filter(pk=run.pk).update(acted=None)
    to_the_end(run)
    assert (run.outcome, run.failure) == ("succeeded", None)
    [job] = floor.space.find("jobs")
    assert env_of(job) == {"PORTAL_BACKUP": job["metadata"]["name"]}
    backup = Backup.objects.get()
    assert (backup.name, backup.rows, backup.size_bytes) == (job["metadata"]["name"], 120, 4096)
    found = recovery_of(service_of(floor), floor.environment)
    assert found.rpo_now is not None
    assert (found.rpo_met, found.rto_met) == (True, None)
    actions = AuditEntry.objects.filter(action__startswith="schedule.").order_by("number")
    assert list(actions.values_list("action", flat=True)) == ["schedule.started", "schedule.succeeded"]


def test_a_backup_that_fails_is_none_and_its_people_are_told(lay_floor: Lay) -> None:
    floor = floor_with_schedules(lay_floor, **failing("Exit", after="100ms", message="disk is full"))
    run = to_the_end(come_due("nightly"))
    assert (run.outcome, (run.failure or {})["message"]) == ("failed", "disk is full")
    assert not Backup.objects.exists()
    assert recovery_of(service_of(floor), floor.environment).rpo_met is False
    told = Message.objects.filter(key__startswith="schedule.", key__endswith=":floor-pl")
    assert "disk is full" in told.get().body


@long
def test_a_cleanup_is_told_what_is_past_its_time_and_waits_while_the_line_is_stopped(lay_floor: Lay) -> None:
    floor = floor_with_schedules(lay_floor)
    service, now = service_of(floor), clock.now()
    for name, days in (("old", 31), ("young", 29), ("newest", 1)):
        Backup.objects.create(
            service=service, environment=floor.environment, name=name, made_at=now - timedelta(days=days)
        )
    stop = stop_line(actor=floor.actor, reason="Sale", scope="environment:floor-production")
    run = carry(come_due("clean"))
    assert (run.observed["code"], run.started_at) == ("held", None)
    assert floor.space.find("jobs") == []
    lift_freeze(stop.pk, actor=acting(floor.shop.cast.director), reason="over")
    to_the_end(run)
    assert run.outcome == "succeeded"
    [job] = floor.space.find("jobs")
    assert env_of(job) == {"PORTAL_KEEP_DAYS": "30", "PORTAL_REMOVE": "old"}
    left = Backup.objects.filter(removed_at=None).values_list("name", flat=True)
    assert sorted(left) == ["newest", "young"]


@long
def test_a_backup_that_a_release_makes_is_known_as_well(lay_floor: Lay) -> None:
    floor = floor_with_schedules(lay_floor, said={"rows": 7})
    floor.plan.spec["waves"][0]["before"] = [{"kind": "run_job", "service": "api", "job": "backup"}]
    floor.plan.save(update_fields=["spec"])
    rollout = drive(floor.start(), "failed", "succeeded", "paused")
    assert rollout.state == "succeeded"
    jobs.keep_backups()
    jobs.keep_backups()
    backup = Backup.objects.get()
    assert (backup.rows, backup.step) == (7, rollout.steps.get(kind="run_job"))
