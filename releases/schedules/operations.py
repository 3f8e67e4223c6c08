"""Carrying runs on: begun once their time and the calendar allow, looked at until they end, kept and told.

Every write first locks the row and asks whether somebody else has written since: two workers do no harm.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from approvals.calendar import queries as calendar
from approvals.calendar.places import Place
from portal import clock
from portal.audit.record import record
from portal.jobs import for_each
from releases import openings
from releases.catalog.counts import count_in
from releases.catalog.models import Environment, Service
from releases.catalog.schedule_checks import BACKUP, RETENTION
from releases.operating import OperationKind
from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import ACTIVE, Direction, RolloutState, StepState
from releases.schedules import notices, queries
from releases.schedules.due import LATE_SECONDS, SWEEP, subject_of
from releases.schedules.models import Backup, Outcome, ScheduledRun, What

Json = dict[str, Any]
# Longer than a job may take: a look at a run that never wrote is made anew after it.
CLAIM = timedelta(seconds=120)
HELD_SECONDS = 30
MOST_AT_ONCE = 100
LONGEST_NAME = 200


def claim_due() -> list[int]:
    """Take runs whose time has come, so that no other sweeper takes them as well."""
    with transaction.atomic():
        now = clock.now()
        due = ScheduledRun.objects.filter(outcome="", wake_at__lte=now).order_by("wake_at")
        found = list(due.select_for_update(of=("self",), skip_locked=True)[:MOST_AT_ONCE])
        ScheduledRun.objects.filter(pk__in=[run.pk for run in found]).update(wake_at=now + CLAIM)
    return [run.pk for run in found]


def begin(run: ScheduledRun, claim: datetime) -> bool:
    """Write down that it begins, before anything is done outside; False where it may not, yet or any more."""
    now = clock.now()
    held = _held(run)
    if now > run.due_at + timedelta(seconds=run.spec.get("deadlineSeconds", LATE_SECONDS)):
        end(run, claim, Outcome.MISSED, observed=held or {"code": "too_late"})
        return False
    if held:
        wait(run, claim, observed=held, seconds=HELD_SECONDS)
        return False
    with transaction.atomic():
        if not _still_ours(run, claim):
            return False
        run.started_at, run.observed = now, {}
        if _purpose(run) == RETENTION:
            names = queries.past_their_time(run.service, run.environment, days=run.spec["keepDays"], now=now)
            run.spec = {**run.spec, "remove": names}
        run.save(update_fields=["started_at", "observed", "spec"])
        if run.what == What.JOB:
            _record(run, "schedule.started", {"due": run.due_at.isoformat()})
    return True


def _held(run: ScheduledRun) -> Json:
    """What holds it, as it is kept with it; a look changes nothing and is never held."""
    if run.what == What.HEALTH or run.service is None:
        return {}
    restore = _restoring(run.service, run.environment)
    if restore is not None:
        return {"code": "restoring", "args": {"number": restore.pk}}
    return _closures(run, run.service)


def _restoring(service: Service, environment: Environment) -> Rollout | None:
    """The rollout that restores the service's database: a backup of it now would be of half the data."""
    going = Rollout.objects.filter(environment=environment, state__in=[*ACTIVE, RolloutState.PAUSED])
    steps = Step.objects.filter(kind=OperationKind.RESTORE, service=service)
    return going.filter(pk__in=steps.values("rollout")).first()


def _closures(run: ScheduledRun, service: Service) -> Json:
    """The freezes and stops that hold it; a backup changes nothing."""
    if _purpose(run) == BACKUP:
        return {}
    place = Place(
        environment=run.environment.name,
        teams=frozenset({service.team.key}),
        services=frozenset({service.name}),
    )
    closures = calendar.verdict_for(place, None).closures
    return {"code": "held", "closures": [openings.facts_of(each) for each in closures]} if closures else {}


def _purpose(run: ScheduledRun) -> str:
    return str((run.spec.get("job") or {}).get("purpose") or "") if run.what == What.JOB else ""


def _still_ours(run: ScheduledRun, claim: datetime) -> bool:
    """Lock the row, and say whether nobody has written since it was claimed."""
    return ScheduledRun.objects.select_for_update().filter(pk=run.pk, wake_at=claim).exists()


def wait(run: ScheduledRun, claim: datetime, *, observed: Json, seconds: float) -> None:
    """Keep what was seen, and look again after `seconds`."""
    with transaction.atomic():
        if _still_ours(run, claim):
            run.observed = observed
            run.wake_at = clock.now() + timedelta(seconds=seconds)
            run.save(update_fields=["acted", "observed", "wake_at"])


def end(
    run: ScheduledRun, claim: datetime, outcome: str, *, observed: Json, failure: Json | None = None
) -> None:
    """Keep what it came to; a health check is recorded and told only where it differs from the one before.

    A Job is recorded always, and told unless it succeeded.
    """
    with transaction.atomic():
        if not _still_ours(run, claim):
            return
        run.outcome, run.observed, run.failure = outcome, observed, failure
        run.ended_at, run.wake_at = clock.now(), None
        is_news = run.what == What.JOB or _is_news(run)
        run.save(update_fields=["outcome", "acted", "observed", "failure", "ended_at", "wake_at"])
        if not is_news:
            return
        _record(run, f"schedule.{outcome}", {"due": run.due_at.isoformat(), **_told(run)})
        if run.what == What.JOB and outcome == Outcome.SUCCEEDED:
            _follow_up(run)
        else:
            notices.tell(run)


def _is_news(run: ScheduledRun) -> bool:
    """Whether a health check differs from the one before, service by service; keeps by which."""
    before = queries.measured_before(run)
    if before is None:
        return run.outcome != Outcome.SUCCEEDED
    then, now = before.troubled, run.troubled
    new = sorted(name for name in now if now[name] != then.get(name))
    well = sorted({each["service"] for each in run.answers} & then.keys() - now.keys())
    if new or well:
        run.observed = {**run.observed, "changed": {"new": new, "well": well}}
    return run.outcome != before.outcome or then != now


def _told(run: ScheduledRun) -> Json:
    job = {"job": run.acted["job"]} if run.acted else {}
    why = {"why": (run.failure or run.observed).get("code", "")} if run.outcome != Outcome.SUCCEEDED else {}
    return {**job, **why, **run.observed.get("changed", {})}


def _follow_up(run: ScheduledRun) -> None:
    """What a Job's success means for the backups that are known."""
    if _purpose(run) == BACKUP and run.acted and run.service:
        made = Backup(service=run.service, environment=run.environment, run=run, made_at=run.begun_at)
        _keep(made, job=run.acted["job"], report=run.observed.get("report") or {})
    if _purpose(run) == RETENTION:
        gone = Backup.objects.filter(
            service=run.service, environment=run.environment, name__in=run.spec["remove"], removed_at=None
        )
        for backup in gone:
            backup.removed_at = run.ended_at
            backup.save(update_fields=["removed_at"])
            _record_backup("backup.removed", backup)


def break_off(run_id: int, *, incident: str) -> None:
    """End a run at which the portal itself failed: going on again and again would hide it."""
    run = ScheduledRun.objects.select_related("environment", "service").filter(pk=run_id).first()
    if run is not None and run.wake_at is not None:
        failure = {"code": "broke_off", "args": {"incident": incident}}
        end(run, run.wake_at, Outcome.ERRORED, observed=run.observed, failure=failure)


def keep_backups_of_releases() -> None:
    """Know the backups that rollouts have made by a step of their plan."""
    since = clock.now() - timedelta(days=1)
    made = Step.objects.filter(
        kind="run_job",
        direction=Direction.FORWARD,
        state=StepState.SUCCEEDED,
        params__job__purpose=BACKUP,
        ended_at__gte=since,
        backup=None,
    ).order_by("started_at")
    for_each(made.select_related("service", "rollout__environment"), _keep_of_step)


@transaction.atomic
def _keep_of_step(step: Step) -> None:
    assert step.service is not None
    assert step.started_at is not None
    backup = Backup(
        service=step.service, environment=step.rollout.environment, step=step, made_at=step.started_at
    )
    _keep(backup, job=(step.acted or {})["job"], report=step.observed.get("report") or {})


def _keep(backup: Backup, *, job: str, report: Json) -> None:
    """Store a backup by what its Job says of it, unless a newer one has been written over it.

    Its age counts from when the Job began.
    """
    backup.name = _name_in(report) or job
    backup.rows, backup.size_bytes = (count_in(report, field) for field in ("rows", "sizeBytes"))
    there = Backup.objects.filter(service=backup.service, environment=backup.environment)
    known = there.select_for_update(of=("self",)).filter(name=backup.name).first()
    if known is not None:
        if known.made_at >= backup.made_at:
            return
        backup.pk = known.pk
    backup.save()
    _record_backup("backup.made", backup)


def _name_in(report: Json) -> str:
    """The name that a Job gives its backup, if it is one: a clean-up is told names line by line."""
    said = report.get("name")
    is_name = isinstance(said, str) and bool(said.strip()) and said.isprintable()
    return said[:LONGEST_NAME] if isinstance(said, str) and is_name else ""


def _record_backup(action: str, backup: Backup) -> None:
    after = {"service": backup.service.name, "rows": backup.rows, "size_bytes": backup.size_bytes}
    record(
        action,
        actor=SWEEP,
        subject=("backup", f"{backup.environment.name}/{backup.name}"),
        after=after,
        service=backup.service.name,
    )


def _record(run: ScheduledRun, action: str, after: Json) -> None:
    name = run.service.name if run.service else ""
    record(action, actor=SWEEP, subject=subject_of(run), after=after, service=name)


def forget_old_runs(before: datetime) -> None:
    """Remove ended runs that are of no use any more; what they changed stays in the record."""
    ScheduledRun.objects.exclude(outcome="").filter(ended_at__lt=before, backup=None).delete()
