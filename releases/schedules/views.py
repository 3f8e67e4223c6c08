"""The schedules of an environment: what is due when, what came of it, and what could be restored."""

import secrets
from typing import Any, TypeVar

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from portal import access
from portal.people.doors import browser_actor
from portal.people.models import User
from releases.catalog.models import Environment, Service
from releases.catalog.schedule_checks import restores_of
from releases.schedules import queries
from releases.schedules.cron_words import in_words
from releases.schedules.models import Backup, Schedule, ScheduledRun
from releases.schedules.recovery import recoveries_in
from releases.schedules.restoring import request_restore
from releases.schedules.wording import outcome_text, service_text, title_of
from releases.views.answers import REFUSALS, asked_number, go, is_fragment, once, refuse

Row = TypeVar("Row", ScheduledRun, Backup)
SHOWN_RUNS = 30
SHOWN_BACKUPS = 20


@require_safe
def page(request: HttpRequest, name: str) -> HttpResponse:
    """Show schedules, runs, recovery and backups of an environment.

    `before` and `backups_before` lead to older runs and backups.
    """
    assert isinstance(request.user, User)
    environment = access.get_or_404(request.user, Environment, name=name)
    runs, older_runs = _shown(queries.telling_runs(environment, asked_number(request, "before")), SHOWN_RUNS)
    backups, older_backups = _shown(
        queries.backups_before(environment, asked_number(request, "backups_before")), SHOWN_BACKUPS
    )
    context = {
        "environment": environment,
        "schedules": [_schedule(*each) for each in queries.schedules_of(environment)],
        "runs": [_run(each) for each in runs],
        "older_runs": older_runs,
        "recoveries": recoveries_in(environment),
        "backups": backups,
        "older_backups": older_backups,
        "restorable": _restorable(request.user, environment),
    }
    return render(request, "schedules/page.html", context)


def _shown(rows: QuerySet[Row], most: int) -> tuple[list[Row], int | None]:
    """The first rows, and the key of their last where there are older ones."""
    found = list(rows[: most + 1])
    return found[:most], found[most - 1].pk if len(found) > most else None


def _restorable(user: User, environment: Environment) -> set[int]:
    """The services whose database the person may restore here, and which have a Job for it."""
    services = access.visible_set(user, Service, "restore").filter(environments=environment)
    return {each.pk for each in services if restores_of(each.spec)}


@require_http_methods(["GET", "HEAD", "POST"])
def restore(request: HttpRequest, name: str, pk: int) -> HttpResponse:
    """Ask for the restore of one backup, by typing the service's name; it becomes a draft."""
    assert isinstance(request.user, User)
    backup = access.get_or_404(request.user, Backup, environment__name=name, pk=pk, removed_at=None)
    access.require(browser_actor(request), "restore", backup.service)
    context = {
        "backup": backup,
        "operation": {"backup": backup.name},
        "environment": backup.environment,
        "confirm": request.POST.get("confirm", ""),
        "once": request.POST.get("once") or secrets.token_hex(16),
    }
    template = f"schedules/panels/{'_' if is_fragment(request) else ''}restore.html"
    if request.method != "POST":
        return render(request, template, context)
    try:
        return go(request, once(request, lambda: _draft(request, backup)))
    except REFUSALS as error:
        return refuse(request, template, context, error)


def _draft(request: HttpRequest, backup: Backup) -> str:
    data = {"backup": backup.name, "confirm": request.POST.get("confirm", "")}
    made = request_restore(backup.service.name, backup.environment.name, data, actor=browser_actor(request))
    return reverse("releases:edit", args=[made.number])


def _schedule(row: Schedule, run: ScheduledRun | None) -> dict[str, Any]:
    return {
        "row": row,
        "title": title_of(row.spec, row.spec["what"]),
        "words": in_words(row.spec["cron"]),
        "zone": row.spec.get("timeZone", ""),
        "last": _run(run) if run else None,
    }


def _run(run: ScheduledRun) -> dict[str, Any]:
    return {
        "row": run,
        "state": run.outcome or ("running" if run.started_at else "waiting"),
        "title": title_of(run.spec, run.what),
        "text": outcome_text(run),
        "seconds": (run.ended_at - run.started_at).total_seconds()
        if run.ended_at and run.started_at
        else None,
        "services": [
            {**each, "text": service_text(each)} for each in run.answers if each["service"] in run.troubled
        ],
        "log": (run.failure or {}).get("log") or [],
    }
