"""API v1: the figures of the report."""

from datetime import date
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema

from portal.api.auth import actor_of, scope
from portal.errors import Invalid, NotFound, field_error
from releases.rollouts.rhythm.period import Asked
from releases.rollouts.rhythm.report import report

router = Router(tags=["reports"])


class RhythmQuery(Schema):
    """Which deployments; days are of the caller's zone, both included, at most two years."""

    start: str = Field(
        "", alias="from", max_length=10, description="First day; twelve weeks before the last."
    )
    to: str = Field("", max_length=10, description="Last day; today.")
    team: str = Field("", max_length=120)
    service: str = Field("", max_length=120)
    environment: str = Field("", max_length=120)


class FiguresShape(Schema):
    """Some deployments: spans are medians in seconds, null where nothing was to measure."""

    key: str
    deployments: int
    failed: int
    lead_seconds: float | None
    whole_seconds: float | None
    duration_seconds: float | None
    restore_seconds: float | None
    unrestored: int

    @staticmethod
    def resolve_key(row: Any) -> str:
        """What they have in common."""
        return str(row.key)


class WaitShape(Schema):
    """Rows that asked one role in one phase."""

    role: str
    phase: str
    decided: int
    median_seconds: float | None
    longest_seconds: float | None
    waiting: int
    waiting_seconds: float | None


class BundleShape(Schema):
    """Releases that could have gone out as one."""

    day: date
    environment: str
    team: str
    services: list[str]
    releases: list[int]


class IncidentFiguresShape(Schema):
    """Some incidents opened in the period: spans in seconds, null where none was closed yet."""

    key: str
    incidents: int
    ongoing: int
    restore_seconds: float | None = Field(description="The median from the opening to the end.")
    whole_seconds: float | None = Field(description="The same from when the trouble began.")
    longest_seconds: float | None

    @staticmethod
    def resolve_key(row: Any) -> str:
        """What they have in common."""
        return str(row.key)


class IncidentTablesShape(Schema):
    """How many incidents were opened, and how long it took to close them."""

    total: IncidentFiguresShape
    systems: list[IncidentFiguresShape]
    weeks: list[IncidentFiguresShape]


class RhythmShape(Schema):
    """How often and how well releases go out."""

    start: date = Field(serialization_alias="from")
    to: date
    total: FiguresShape
    weeks: list[FiguresShape]
    hours: list[FiguresShape] = Field(description="`key`: the hour of the week, 0 is Monday 00:00.")
    teams: list[FiguresShape]
    services: list[FiguresShape]
    environments: list[FiguresShape]
    grades: list[FiguresShape]
    waiting: list[WaitShape]
    bundles: list[BundleShape]
    incidents: IncidentTablesShape


@router.get("/rhythm", response=RhythmShape, by_alias=True)
def read_rhythm(request: HttpRequest, query: Query[RhythmQuery]) -> dict[str, Any]:
    """How often releases go out, how long they take, how many fail, and for whom they wait."""
    scope(request, "read")
    user = actor_of(request).user
    if user is None:
        raise NotFound
    _require_days(query)
    found = report(user, Asked.read({**query.dict(), "from": query.start}))
    return {
        "start": found.asked.start,
        "to": found.asked.end,
        "total": found.total,
        "weeks": found.weeks,
        "hours": found.hours,
        "teams": found.teams,
        "services": found.services,
        "environments": found.environments,
        "grades": found.grades,
        "waiting": found.waiting_roles,
        "bundles": found.bundles,
        "incidents": found.incidents,
    }


def _require_days(query: RhythmQuery) -> None:
    wrong = [name for name, text in (("from", query.start), ("to", query.to)) if text and not _is_day(text)]
    if wrong:
        raise Invalid(
            missing=[field_error(name, _("A day such as 2026-01-31 is expected.")) for name in wrong]
        )


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
