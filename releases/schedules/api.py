"""API v1: schedules, their runs, backups, and recovery beside its aims."""

from datetime import datetime
from functools import partial
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from portal import access
from portal.api import paging
from portal.api.auth import actor_of
from portal.api.paging import PageQuery
from portal.api.schemas import Body, Paged
from portal.people.models import User
from portal.sentences import worded_in
from releases import queries as release_queries
from releases.api_shapes import ReleaseShape, release_shape
from releases.catalog.models import Environment
from releases.schedules import queries, restoring
from releases.schedules.models import Backup, Schedule, ScheduledRun
from releases.schedules.recovery import Recovery, recoveries_in
from releases.schedules.wording import outcome_text, title_of

router = Router(tags=["schedules"])


class ScheduledRunShape(Schema):
    """A time at which a schedule was due, and what came of it."""

    id: int
    schedule: str
    what: str = Field(description="health or job")
    service: str | None
    due_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    outcome: str = Field(description="succeeded, failed, errored, missed or skipped; empty until then")
    text: str
    failure: dict[str, Any] | None


class ScheduleShape(Schema):
    """What an environment does by the clock."""

    name: str
    title: str
    what: str = Field(description="health or job")
    service: str | None
    job: str | None
    cron: str
    time_zone: str | None = Field(description="null: the portal's own")
    next_at: datetime
    last: ScheduledRunShape | None


class BackupShape(Schema):
    """A backup that can be restored."""

    id: int
    name: str
    service: str
    made_at: datetime
    rows: int | None = Field(description="null where its Job did not say")
    size_bytes: int | None


class RecoveredShape(Schema):
    """What a recovery was measured by."""

    kind: str = Field(description="incident, rollback or restore")
    number: int = Field(description="of the incident, or of the rollout")


class RecoveryShape(Schema):
    """Aims for a recovery beside what was measured, in seconds; null where there is none."""

    service: str
    rpo_aim_seconds: int | None
    rpo_now_seconds: int | None = Field(description="the age of the newest backup")
    rpo_met: bool | None
    rto_aim_seconds: int | None
    rto_longest_seconds: int | None = Field(description="of the recoveries of the last year")
    rto_longest_from: RecoveredShape | None
    rto_median_seconds: int | None
    rto_met: bool | None
    recoveries: int = Field(description="closed incidents, and what was rolled back or restored outside them")
    recoveries_by: dict[str, int] = Field(description="how many of them by kind")


class RestoreInput(Body):
    """Which backup, and the first time that it is asked; the start asks again."""

    backup: str
    confirm: str = Field(description="the service's name")


@router.get("/environments/{name}/schedules", response=Paged[ScheduleShape])
def list_schedules(request: HttpRequest, name: str) -> dict[str, Any]:
    """List what the environment does by the clock."""
    return paging.whole(_schedule(*each) for each in queries.schedules_of(_environment(request, name)))


@router.get("/environments/{name}/scheduled-runs", response=Paged[ScheduledRunShape])
def list_scheduled_runs(request: HttpRequest, name: str, query: Query[PageQuery]) -> dict[str, Any]:
    """List what came of it, the newest first."""
    return paging.answer(paging.page(queries.runs_of(_environment(request, name)), query=query), _run)


@router.get("/environments/{name}/backups", response=Paged[BackupShape])
def list_backups(request: HttpRequest, name: str, query: Query[PageQuery]) -> dict[str, Any]:
    """List the backups that are there, the newest first; one that was written over stands where it is now."""
    rows_after = partial(queries.backups_before, _environment(request, name))
    return paging.answer(paging.page_in_order(rows_after, query=query), _backup)


@router.get("/environments/{name}/recovery", response=Paged[RecoveryShape])
def list_recoveries(request: HttpRequest, name: str) -> dict[str, Any]:
    """List the services that have an aim or a backup, with what was measured."""
    return paging.whole(_recovery(each) for each in recoveries_in(_environment(request, name)))


@router.post("/services/{name}/{env}/restores", response={201: ReleaseShape})
def request_restore(request: HttpRequest, name: str, env: str, body: RestoreInput) -> Status[Any]:
    """Draft the restore of a database: grade D, with an approval of its own; its start asks again."""
    release = restoring.request_restore(name, env, body.model_dump(), actor=actor_of(request))
    return Status(201, release_shape(release_queries.detail(_user(request), release.number)))


def _environment(request: HttpRequest, name: str) -> Environment:
    return access.get_or_404(_user(request), Environment, name=name)


def _user(request: HttpRequest) -> User:
    user = actor_of(request).user
    assert user is not None
    return user


def _schedule(row: Schedule, run: ScheduledRun | None) -> dict[str, Any]:
    spec = row.spec
    return {
        "name": row.name,
        "title": title_of(spec, spec["what"]),
        "what": spec["what"],
        "service": spec.get("service"),
        "job": spec.get("job"),
        "cron": spec["cron"],
        "time_zone": spec.get("timeZone"),
        "next_at": row.next_at,
        "last": _run(run) if run else None,
    }


def _run(run: ScheduledRun) -> dict[str, Any]:
    return {
        "id": run.pk,
        "schedule": run.schedule,
        "what": run.what,
        "service": run.service.name if run.service else None,
        "due_at": run.due_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "outcome": run.outcome,
        "text": outcome_text(run),
        "failure": worded_in(run.failure),
    }


def _backup(backup: Backup) -> dict[str, Any]:
    return {
        "id": backup.pk,
        "name": backup.name,
        "service": backup.service.name,
        "made_at": backup.made_at,
        "rows": backup.rows,
        "size_bytes": backup.size_bytes,
    }


def _recovery(found: Recovery) -> dict[str, Any]:
    return {
        "service": found.service.name,
        "rpo_aim_seconds": found.rpo_aim,
        "rpo_now_seconds": found.rpo_now,
        "rpo_met": found.rpo_met,
        "rto_aim_seconds": found.rto_aim,
        "rto_longest_seconds": found.rto_longest,
        "rto_longest_from": found.longest and {"kind": found.longest.kind, "number": found.longest.number},
        "rto_median_seconds": found.rto_median,
        "rto_met": found.rto_met,
        "recoveries": found.recoveries,
        "recoveries_by": dict(found.counts),
    }
