"""The route of a whole system's row of environments."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from portal.api import paging
from portal.api.auth import actor_of, scope
from portal.api.schemas import Paged
from portal.api.strict import hidden_first
from portal.people.models import User
from releases.catalog.models import Service
from releases.rollouts.system_row import Line, Onward, Stand, columns_of, lines_of, services_in


def _require_there(request: HttpRequest, values: Mapping[str, Any]) -> None:
    if "name" in values:
        columns_of(_user(request), values["name"])


router = Router(tags=["services"])
router.add_decorator(hidden_first(_require_there), mode="view")


class OnwardShape(Schema):
    """What runs in an environment, seen from the next one."""

    environment: str
    way: str = Field(description="there, moving, free, held or none")
    release: int | None = Field(description="what can be carried there, or what carries it already")
    reasons: list[str] = Field(description="what holds it back")


class StandShape(Schema):
    """What stands in one environment."""

    environment: str
    version: str
    digests: list[str]
    health: str
    since: datetime | None
    release: int | None = Field(description="the release that brought it")
    seen_at: datetime | None
    pinned: bool
    rollout: int | None
    pending: list[int]
    onward: list[OnwardShape]


class LineShape(Schema):
    """A service with its places, in the order of the row."""

    service: str
    places: list[StandShape]


@router.get("/systems/{name}/row", response=Paged[LineShape])
def read_system_row(request: HttpRequest, name: str, query: Query[paging.PageQuery]) -> dict[str, Any]:
    """What stands where from environment to environment, what may go on, and what holds it back."""
    scope(request, "read")
    environments = [column.environment for column in columns_of(_user(request), name)]
    rows = Service.objects.filter(pk__in=services_in(environments)).defer("source")
    found = paging.page(rows, query=query, key="name", descending=False)
    lines = lines_of(environments, found.rows)
    return {"items": [_line(line) for line in lines], "next": found.next}


def _user(request: HttpRequest) -> User:
    user = actor_of(request).user
    assert user is not None
    return user


def _line(line: Line) -> dict[str, Any]:
    return {"service": line.service.name, "places": [_stand(each) for each in line.stands if each]}


def _stand(stand: Stand) -> dict[str, Any]:
    cell = stand.cell
    same = ("version", "digests", "health", "since", "release", "seen_at", "pinned")
    return {
        "environment": cell.environment.name,
        **{name: getattr(cell, name) for name in same},
        "rollout": cell.rollout.pk if cell.rollout else None,
        "pending": [release.number for release in cell.pending],
        "onward": [_onward(each) for each in stand.onward],
    }


def _onward(onward: Onward) -> dict[str, Any]:
    return {
        "environment": onward.environment.name,
        "way": onward.way,
        "release": onward.release.number if onward.release else None,
        "reasons": list(onward.reasons),
    }
