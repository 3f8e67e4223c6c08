"""How often and how well releases go out (screens.md 2.12): charts, tables, and each table as CSV."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from portal.errors import NotFound
from portal.people.models import User
from portal.ui.charts import Bar
from portal.ui.times import span, weekdays
from releases.rollouts.rhythm.figures import Figures
from releases.rollouts.rhythm.period import Asked
from releases.rollouts.rhythm.report import Report, choices, report
from releases.rollouts.rhythm.tables import TABLES, as_csv

HOURS = 24
# Where a narrower report lists what its numbers count.
HERE = "#deployments"


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the figures of a period."""
    assert isinstance(request.user, User)
    found = report(request.user, Asked.read(request.GET.dict()))
    context = {
        "report": found,
        "asked": found.asked,
        "choices": choices(request.user),
        "tables": _tables(found),
        "week_rows": [(row, _week(found.asked, row.key)) for row in found.weeks],
        "deployment_bars": [_deployments(week) for week in found.weeks],
        "lead_bars": [_lead(week) for week in found.weeks],
        "week_hours": {row.key: row.deployments for row in found.hours},
        "hour_rows": [(weekdays()[row.key // HOURS], row.key % HOURS, row) for row in found.hours],
        "query": found.asked.address(),
    }
    return render(request, "reports/page.html", context)


@require_safe
def table(request: HttpRequest, name: str) -> HttpResponse:
    """One table as CSV."""
    assert isinstance(request.user, User)
    if name not in TABLES:
        raise NotFound
    found = report(request.user, Asked.read(request.GET.dict()))
    filename = f"{name}-{found.asked.start}-{found.asked.end}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    return HttpResponse(as_csv(name, found), content_type="text/csv; charset=utf-8", headers=headers)


def _tables(found: Report) -> list[dict[str, Any]]:
    """The tables that show the same columns, each row with the address of what it counts."""
    address = found.asked.address
    return [
        _table(
            "teams",
            _("By team"),
            _("Team"),
            found.teams,
            [address(team=row.key) + HERE for row in found.teams],
        ),
        _table(
            "services",
            _("By service"),
            _("Service"),
            found.services,
            [address(service=row.key) + HERE for row in found.services],
        ),
        _table("grades", _("By grade"), _("Grade"), found.grades),
        _table(
            "environments",
            _("By environment"),
            _("Environment"),
            found.environments,
            [address(environment=row.key) + HERE for row in found.environments],
        ),
        _table("people", _("By who started them"), _("Person"), found.people),
    ]


def _week(asked: Asked, monday: date) -> str:
    """The address of the report of one week, as far as it lies in the period."""
    start, end = max(monday, asked.start), min(monday + timedelta(days=6), asked.end)
    return asked.address(**{"from": start.isoformat(), "to": end.isoformat()}) + HERE


def _table(
    name: str, title: str, first: str, rows: Sequence[Figures], addresses: Sequence[str] = ()
) -> dict[str, Any]:
    linked = list(zip(rows, addresses or [""] * len(rows), strict=True))
    return {"name": name, "title": title, "first": first, "rows": linked}


def _deployments(week: Figures) -> Bar:
    return Bar(
        label=f"{week.key:%m-%d}",
        value=week.deployments,
        part=week.failed,
        text=str(week.deployments or ""),
        title=_("Week from {day}: {count} deployments, {failed} failed").format(
            day=week.key, count=week.deployments, failed=week.failed
        ),
    )


def _lead(week: Figures) -> Bar:
    seconds = week.lead_seconds
    words = span(seconds) if seconds is not None else _("nothing to measure")
    return Bar(
        label=f"{week.key:%m-%d}",
        value=seconds or 0,
        title=_("Week from {day}: lead time {span}").format(day=week.key, span=words),
    )
