"""Routes of the calendar: windows of the catalog, freezes, and the stopped line."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Query, Router, Schema, Status
from pydantic import Field

from approvals.calendar import operations, places, queries
from approvals.calendar.models import EVERYWHERE, Freeze
from portal import access, clock
from portal.api import paging
from portal.api.auth import actor_of
from portal.api.paging import PageQuery
from portal.api.schemas import Body, Moment, Paged
from portal.api.strict import hidden_first
from portal.errors import Invalid, NotFound, field_error
from portal.people.models import User
from releases import openings
from releases.catalog.models import Environment


class PassageShape(Schema):
    """An emergency that went past a freeze, and why."""

    subject: str
    reason: str
    by: str | None
    at: datetime


class FreezeShape(Schema):
    """A freeze or a stop."""

    id: int
    kind: str = Field(description="freeze or stop")
    name: str
    reason: str
    scope: str
    zone: str
    state: str = Field(description="planned, holding, over or lifted")
    starts: datetime
    ends: datetime | None
    by: str | None
    lifted_by: str | None
    lifted_at: datetime | None
    lift_reason: str
    passed: list[PassageShape]


class WindowShape(Schema):
    """Hours of the week in which an environment is open, as its catalog file says."""

    scope: str
    days: list[str]
    from_: str = Field(serialization_alias="from")
    to: str
    zone: str
    open: bool = Field(description="whether it is open now")


class FreezesShape(Paged[FreezeShape]):
    """A page of freezes, and the windows of every environment that I see beside them."""

    windows: list[WindowShape]


class NewFreeze(Body):
    """A freeze with its times, or a stop, which holds from now on and has none."""

    kind: Literal["freeze", "stop"] = "freeze"
    name: str = ""
    reason: str
    scope: str = EVERYWHERE
    starts: Moment | None = None
    ends: Moment | None = None
    zone: str = settings.TIME_ZONE


class LiftInput(Body):
    """Why it is lifted."""

    reason: str = ""


class FreezesQuery(PageQuery):
    """Which freezes."""

    state: Literal["standing", "all"] = "standing"


def _require_there(request: HttpRequest, values: Mapping[str, Any]) -> None:
    if "freeze_id" in values:
        freeze = Freeze.objects.filter(pk=values["freeze_id"]).first()
        if freeze is None or not places.is_seen(_user(request), freeze.scope):
            raise NotFound


router = Router(tags=["calendar"], by_alias=True)
router.add_decorator(hidden_first(_require_there), mode="view")


@router.get("/freezes", response=FreezesShape)
def list_freezes(request: HttpRequest, query: Query[FreezesQuery]) -> dict[str, Any]:
    """Windows, freezes and stops: those that stand, or all that ever were."""
    user, now = _user(request), clock.now()
    rows = Freeze.objects.all() if query.state == "all" else queries.standing(now)
    hidden = {scope for scope in rows.values_list("scope", flat=True) if not places.is_seen(user, scope)}
    page = paging.page(rows.exclude(scope__in=hidden), query=query, key="id")
    answer = paging.answer(page, lambda freeze: freeze_shape(freeze, now=now))
    return {**answer, "windows": _windows(user, now=now)}


@router.post("/freezes", response={201: FreezeShape})
def add_freeze(request: HttpRequest, body: NewFreeze) -> Status[Any]:
    """Add a freeze, or stop the line."""
    actor = actor_of(request)
    said = {"name": body.name, "reason": body.reason, "scope": body.scope}
    if body.kind == "stop":
        _refuse_times(body)
        freeze = operations.stop_line(actor=actor, **said)
    else:
        starts, ends = _times(body)
        freeze = operations.add_freeze(actor=actor, starts=starts, ends=ends, zone=body.zone, **said)
    return Status(201, freeze_shape(freeze, now=clock.now()))


@router.delete("/freezes/{int:freeze_id}", response=FreezeShape)
def lift_freeze(request: HttpRequest, freeze_id: int, body: LiftInput) -> dict[str, Any]:
    """Lift a freeze or let the stopped line go again, with the reason."""
    freeze = operations.lift_freeze(freeze_id, actor=actor_of(request), reason=body.reason)
    return freeze_shape(freeze, now=clock.now())


def freeze_shape(freeze: Freeze, *, now: datetime) -> dict[str, Any]:
    """A freeze as the API tells it."""
    passages = freeze.passages.select_related("by")
    return {
        "id": freeze.pk,
        "kind": "stop" if freeze.is_stop else "freeze",
        "name": freeze.name,
        "reason": freeze.reason,
        "scope": freeze.scope,
        "zone": freeze.zone,
        "state": queries.state_of(freeze, at=now),
        "starts": freeze.starts_at,
        "ends": freeze.ends_at,
        "by": _name(freeze.added_by),
        "lifted_by": _name(freeze.lifted_by),
        "lifted_at": freeze.lifted_at,
        "lift_reason": freeze.lift_reason,
        "passed": [
            {"subject": each.subject, "reason": each.reason, "by": _name(each.by), "at": each.at}
            for each in passages
        ],
    }


def _windows(user: User, *, now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "scope": f"environment:{environment.name}",
            "days": said["days"],
            "from_": said["from"],
            "to": said["to"],
            "zone": window.zone.key,
            "open": window.is_open(now),
        }
        for environment in access.visible(user, Environment)
        for said, window in openings.windows_in(environment)
    ]


def _times(body: NewFreeze) -> tuple[datetime, datetime]:
    missing = [
        field_error(name, _("This field is missing."))
        for name, value in (("starts", body.starts), ("ends", body.ends))
        if value is None
    ]
    if body.starts is None or body.ends is None:
        raise Invalid(missing=missing)
    return body.starts, body.ends


def _refuse_times(body: NewFreeze) -> None:
    """A stop that seems to end by itself would be trusted to."""
    text = _("A stop begins now and ends when somebody lifts it; it has no times.")
    wrong = [name for name in ("starts", "ends") if getattr(body, name) is not None]
    if wrong:
        raise Invalid(missing=[field_error(name, text) for name in wrong])


def _name(user: User | None) -> str | None:
    return user.username if user else None


def _user(request: HttpRequest) -> User:
    user = actor_of(request).user
    assert user is not None
    return user
