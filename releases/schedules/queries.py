"""Reads of schedules, their runs and the backups."""

from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from releases.catalog.models import Environment, Service
from releases.models import Release
from releases.operating import OperationKind
from releases.schedules.models import Backup, Outcome, Schedule, ScheduledRun, What
from releases.states import ENDS

MEASURED = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.ERRORED)


def measured_before(run: ScheduledRun) -> ScheduledRun | None:
    """The schedule's run before this one that was carried out; None for its first."""
    runs = ScheduledRun.objects.filter(environment=run.environment, schedule=run.schedule)
    return runs.filter(due_at__lt=run.due_at, outcome__in=MEASURED).order_by("-due_at").first()


def backups_of(service: Service | None, environment: Environment) -> QuerySet[Backup]:
    """The backups that are there, the newest first."""
    return Backup.objects.filter(service=service, environment=environment, removed_at=None)


def backups_in(environment: Environment) -> QuerySet[Backup]:
    """The backups of an environment that are there, the newest first."""
    return Backup.objects.filter(environment=environment, removed_at=None).select_related("service")


def backups_before(environment: Environment, before: int | None) -> QuerySet[Backup]:
    """Those of an environment that were made before one of them, by its key; all of them without it."""
    rows = backups_in(environment)
    last = Backup.objects.filter(environment=environment, pk=before or 0).first()
    if last is None:
        return rows
    # Its key says nothing of its age: one that is written over keeps it.
    return rows.filter(Q(made_at__lt=last.made_at) | Q(made_at=last.made_at, pk__lt=last.pk))


def past_their_time(
    service: Service | None, environment: Environment, *, days: int, now: datetime
) -> list[str]:
    """The names of backups older than so many days.

    The newest of all stays, however old, and so does one whose restore has been asked for and is not over.
    """
    newest = backups_of(service, environment).first()
    old = backups_of(service, environment).filter(made_at__lt=now - timedelta(days=days))
    open_ = Release.objects.exclude(state__in=ENDS).filter(
        environment=environment, items__service=service, operation__kind=OperationKind.RESTORE
    )
    needed = set(open_.values_list("operation__backup", flat=True))
    return [each.name for each in old if each != newest and each.name not in needed]


def schedules_of(environment: Environment) -> list[tuple[Schedule, ScheduledRun | None]]:
    """The schedules of an environment, each with its newest run."""
    newest = runs_of(environment).order_by("schedule", "-due_at")
    runs = {run.schedule: run for run in newest.distinct("schedule")}
    return [(each, runs.get(each.name)) for each in Schedule.objects.filter(environment=environment)]


def telling_runs(environment: Environment, before: int | None) -> QuerySet[ScheduledRun]:
    """Its runs, the newest first, without the health checks that found all well once more.

    Args:
        before: the key of a run; only those before it are given.
    """
    usual = Q(what=What.HEALTH, outcome=Outcome.SUCCEEDED) & ~Q(observed__has_key="changed")
    rows = runs_of(environment).exclude(usual).order_by("-pk")
    return rows if before is None else rows.filter(pk__lt=before)


def runs_of(environment: Environment) -> QuerySet[ScheduledRun]:
    """The runs of an environment."""
    return ScheduledRun.objects.filter(environment=environment).select_related("service", "environment")
