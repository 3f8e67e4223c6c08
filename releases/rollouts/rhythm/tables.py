"""The report's tables as comma-separated values, for a spreadsheet: no cell of them is a formula there."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence

from releases.rollouts.rhythm.figures import Figures
from releases.rollouts.rhythm.incidents import IncidentFigures
from releases.rollouts.rhythm.report import Report

# What a spreadsheet would take for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
SPANS = ("lead_seconds", "whole_seconds", "duration_seconds", "restore_seconds")
FIGURES = ("deployments", "failed", "failed_percent", *SPANS, "unrestored")
Rows = Iterator[Sequence[object]]


def _figures(first: str, rows: Sequence[Figures]) -> Rows:
    yield (first, "title", *FIGURES)
    for row in rows:
        yield (row.key, row.label, *(getattr(row, name) for name in FIGURES))


def _hours(report: Report) -> Rows:
    yield ("weekday", "hour", *FIGURES)
    for row in report.hours:
        yield (row.key // 24 + 1, row.key % 24, *(getattr(row, name) for name in FIGURES))


def _waiting_roles(report: Report) -> Rows:
    yield ("role", "phase", "decided", "median_seconds", "longest_seconds", "waiting", "waiting_seconds")
    for row in report.waiting_roles:
        yield (
            row.role,
            row.phase,
            row.decided,
            row.median_seconds,
            row.longest_seconds,
            row.waiting,
            row.waiting_seconds,
        )


def _waiting_people(report: Report) -> Rows:
    yield ("username", "name", "decided", "median_seconds", "longest_seconds")
    for row in report.waiting_people:
        yield (row.username, row.name, row.decided, row.median_seconds, row.longest_seconds)


def _incidents(first: str, rows: Sequence[IncidentFigures]) -> Rows:
    names = ("incidents", "ongoing", "restore_seconds", "whole_seconds", "longest_seconds")
    yield (first, *names)
    for row in rows:
        yield (row.key, *(getattr(row, name) for name in names))


def _bundles(report: Report) -> Rows:
    yield ("day", "environment", "team", "services", "releases")
    for row in report.bundles:
        yield (row.day, row.environment, row.team, " ".join(row.services), " ".join(map(str, row.releases)))


TABLES: Mapping[str, Callable[[Report], Rows]] = {
    "weeks": lambda report: _figures("monday", report.weeks),
    "hours": _hours,
    "teams": lambda report: _figures("team", report.teams),
    "services": lambda report: _figures("service", report.services),
    "environments": lambda report: _figures("environment", report.environments),
    "grades": lambda report: _figures("grade", report.grades),
    "people": lambda report: _figures("username", report.people),
    "waiting-roles": _waiting_roles,
    "waiting-people": _waiting_people,
    "bundles": _bundles,
    "incidents": lambda report: _incidents("system", report.incidents.systems),
    "incident-weeks": lambda report: _incidents("monday", report.incidents.weeks),
}


def as_csv(table: str, report: Report) -> str:
    """One table with its heading; it begins with the mark by which spreadsheets know UTF-8."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([_cell(value) for value in row] for row in TABLES[table](report))
    return f"\ufeff{out.getvalue()}"


def _cell(value: object) -> object:
    if isinstance(value, float):
        return round(value, 1)
    if isinstance(value, str) and value.lstrip(" ").startswith(FORMULA):
        return f"'{value}"
    return "" if value is None else value
