"""Finding out what is due: each time of a schedule becomes one row, begun, missed or skipped."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.jobs import for_each
from releases.catalog.cron import last_times, next_time
from releases.catalog.models import Environment, Service
from releases.catalog.schedule_checks import job_named
from releases.schedules import notices
from releases.schedules.models import Outcome, Schedule, ScheduledRun, What

Json = dict[str, Any]
SWEEP = Actor.portal("schedule")
LATE_SECONDS = 600
# After a long sleep of the portal so many missed times of a schedule are named, the newest.
MOST_NAMED = 300


@dataclass(frozen=True)
class Time:
    """A time at which a schedule was due, and what comes of it at once; outcome "" begins a run."""

    at: datetime
    outcome: str = ""
    code: str = ""


def follow_catalog() -> None:
    """Bring the rows to what the environments' files say; a new schedule is due from now on.

    One whose times stay keeps what is due already; where others are written, what was due by the old ones and
    had not begun is named as missed.
    """
    wanted = {
        (environment.pk, spec["name"]): spec
        for environment in Environment.objects.filter(spec__has_key="schedules")
        for spec in environment.spec["schedules"]
    }
    present = {(row.environment_id, row.name): row for row in Schedule.objects.all()}
    if {key: row.spec for key, row in present.items()} == wanted:
        return
    now = clock.now()
    Schedule.objects.filter(pk__in=[row.pk for key, row in present.items() if key not in wanted]).delete()
    for (environment, name), spec in wanted.items():
        row = present.get((environment, name))
        if row is not None and times_of(row.spec) == times_of(spec):
            Schedule.objects.filter(pk=row.pk).update(spec=spec)
        elif row is None or row.spec != spec:
            values = {"spec": spec, "next_at": next_time(spec["cron"], zone_of(spec), now)}
            with transaction.atomic():
                _miss_old(row, now)
                Schedule.objects.update_or_create(environment_id=environment, name=name, defaults=values)


def times_of(spec: Json) -> tuple[str, ZoneInfo]:
    """What says when a schedule is due."""
    return spec["cron"], zone_of(spec)


def _miss_old(row: Schedule | None, now: datetime) -> None:
    locked = Schedule.objects.select_for_update(of=("self",)).select_related("environment")
    old = locked.filter(pk=row.pk, next_at__lte=now).first() if row else None
    if old is not None:
        cron, zone = times_of(old.spec)
        found = last_times(cron, zone, since=old.next_at, until=now, most=MOST_NAMED)
        _write(old, [Time(at, Outcome.MISSED, "changed") for at in found], now)


def zone_of(spec: Json) -> ZoneInfo:
    """The zone on whose wall a schedule reads its time."""
    return ZoneInfo(spec.get("timeZone") or settings.TIME_ZONE)


def take_due() -> None:
    """Write a run for every time that has come; whoever comes second finds nothing left."""
    for_each(Schedule.objects.filter(next_at__lte=clock.now()).values_list("pk", flat=True), _take)


@transaction.atomic
def _take(pk: int) -> None:
    now = clock.now()
    rows = Schedule.objects.select_for_update(of=("self",), skip_locked=True).select_related("environment")
    schedule = rows.filter(pk=pk, next_at__lte=now).first()
    if schedule is None:
        return
    zone = zone_of(schedule.spec)
    runs = ScheduledRun.objects.filter(environment=schedule.environment, schedule=schedule.name)
    found = last_times(schedule.spec["cron"], zone, since=schedule.next_at, until=now, most=MOST_NAMED)
    # A clock that was set back tells a time twice.
    known = set(runs.filter(due_at__in=found).values_list("due_at", flat=True))
    found = [each for each in found if each not in known]
    still_runs = runs.filter(outcome="").exists()
    late = timedelta(seconds=schedule.spec.get("deadlineSeconds", LATE_SECONDS))
    _write(schedule, judge(found, now=now, late=late, still_runs=still_runs), now)
    schedule.next_at = next_time(schedule.spec["cron"], zone, now)
    schedule.save(update_fields=["next_at"])


def judge(times: list[datetime], *, now: datetime, late: timedelta, still_runs: bool) -> list[Time]:
    """Say what comes of each time: only the newest may begin, and only within what it may be late."""
    found = [Time(at, Outcome.MISSED, "too_late" if now - at > late else "overtaken") for at in times]
    if times and now - times[-1] <= late:
        newest = times[-1]
        found[-1] = Time(newest, Outcome.SKIPPED, "still_runs") if still_runs else Time(newest)
    return found


def _write(schedule: Schedule, times: Iterable[Time], now: datetime) -> None:
    spec = schedule.spec
    named = {"name": spec["service"]} if spec["what"] == What.JOB else {"pk": None}
    service = Service.objects.filter(**named).first()
    whole = {**spec, "job": job_named(service.spec, spec["job"])} if service else spec
    rows = [
        ScheduledRun(
            environment=schedule.environment,
            service=service,
            schedule=schedule.name,
            what=spec["what"],
            spec=whole,
            due_at=each.at,
            outcome=each.outcome,
            observed={"code": each.code} if each.code else {},
            ended_at=now if each.outcome else None,
            wake_at=None if each.outcome else now,
        )
        for each in times
    ]
    ScheduledRun.objects.bulk_create(rows)
    for outcome in (Outcome.MISSED, Outcome.SKIPPED):
        _tell([row for row in rows if row.outcome == outcome])


def _tell(rows: list[ScheduledRun]) -> None:
    """Record and tell what never began, all of a kind together."""
    if not rows:
        return
    last = rows[-1]
    record(
        f"schedule.{last.outcome}",
        actor=SWEEP,
        subject=subject_of(last),
        after={"due": last.due_at.isoformat(), "count": len(rows), "why": last.observed["code"]},
        service=last.service.name if last.service else "",
    )
    notices.tell(last)


def subject_of(run: ScheduledRun) -> tuple[str, str]:
    """The schedule, as the record names it."""
    return "schedule", f"{run.environment.name}/{run.schedule}"
