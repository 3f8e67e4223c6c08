"""The schedules of an environment: what is due when, what came of it, and what could be restored."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal import access
from portal.people.models import User
from releases.catalog.models import Environment
from releases.schedules import queries
from releases.schedules.models import Schedule, ScheduledRun
from releases.schedules.recovery import recoveries_in
from releases.schedules.wording import outcome_text, service_text, title_of

SHOWN_RUNS = 30
SHOWN_BACKUPS = 20


@require_safe
def page(request: HttpRequest, name: str) -> HttpResponse:
    """Show schedules, runs, recovery and backups of an environment."""
    assert isinstance(request.user, User)
    environment = access.get_or_404(request.user, Environment, name=name)
    context = {
        "environment": environment,
        "schedules": [_schedule(*each) for each in queries.schedules_of(environment)],
        "runs": [_run(each) for each in queries.runs_of(environment)[:SHOWN_RUNS]],
        "recoveries": recoveries_in(environment),
        "backups": queries.backups_in(environment)[:SHOWN_BACKUPS],
    }
    return render(request, "schedules/page.html", context)


def _schedule(row: Schedule, run: ScheduledRun | None) -> dict[str, Any]:
    return {
        "row": row,
        "title": title_of(row.spec, row.spec["what"]),
        "zone": row.spec.get("timeZone", ""),
        "last": _run(run) if run else None,
    }


def _run(run: ScheduledRun) -> dict[str, Any]:
    services = (run.failure or run.observed).get("services") or []
    return {
        "row": run,
        "state": run.outcome or ("running" if run.started_at else "waiting"),
        "title": title_of(run.spec, run.what),
        "text": outcome_text(run),
        "seconds": (run.ended_at - run.started_at).total_seconds()
        if run.ended_at and run.started_at
        else None,
        "services": [{**each, "text": service_text(each)} for each in services if each["result"] != "good"],
        "log": (run.failure or {}).get("log") or [],
    }
