"""Routes of the calendar: windows, freezes, and the stopped line."""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Annotated, Any, Literal, TypeVar

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Query, Router, Schema, Status
from pydantic import BeforeValidator, Field

from approvals.calendar import operations, places, queries, zones
from approvals.calendar.models import EVERYWHERE, Freeze, OpenHours
from approvals.calendar.rules import Window
from portal import access, clock
from portal.api import paging
from portal.api.auth import actor_of
from portal.api.paging import PageQuery
from portal.api.schemas import Body, Moment, Paged, as_written
from portal.api.strict import hidden_first
from portal.errors import Invalid, NotFound, field_error
from portal.people.models import User
from releases import openings
from releases.catalog.models import Environment
from releases.openings import Kept
from releases.reading.windows import Effect, effect_of

Placed = TypeVar("Placed", Freeze, OpenHours)
Day = Annotated[
    date,
    BeforeValidator(as_written),
    Field(ge=zones.EARLIEST, le=zones.LATEST, description="a day such as 2026-12-01"),
]
WALL = "^([01][0-9]|2[0-3]):[0-5][0-9]$"


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
    """Hours of the week in which an environment is open."""

    id: int | None = Field(description="null where the catalog file says it, which alone changes it")
    scope: str
    days: list[str]
    from_: str = Field(serialization_alias="from")
    to: str
    zone: str
    first_day: date | None
    last_day: date | None
    open: bool = Field(description="whether it is open now")


class OpeningShape(Schema):
    """A span in which the environment is open."""

    starts: datetime
    ends: datetime | None = Field(description="null where no end is in sight")


class EffectShape(Schema):
    """What a change of windows does, or would do."""

    window: WindowShape | None = Field(description="null where one was ended, or nothing was saved")
    saved: bool
    openings: list[OpeningShape] = Field(description="the next three")
    outside: list[int] = Field(description="numbers of scheduled releases whose time is closed then")


class Hours(Body):
    """The hours themselves."""

    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]]
    from_: str = Field(alias="from", pattern=WALL, description="a time such as 10:00")
    to: str = Field(pattern=WALL, description="at or before `from`: on the day after")
    zone: str = settings.TIME_ZONE
    first_day: Day | None = None
    last_day: Day | None = None


class WindowInput(Hours):
    """Other hours, and why."""

    reason: str = ""
    dry_run: bool = Field(default=False, description="say what it would do and save nothing")


class NewWindow(WindowInput):
    """A window of an environment."""

    scope: str = Field(description="environment:NAME")


class EndInput(Body):
    """Why a window ends."""

    reason: str = ""
    dry_run: bool = False


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


class FreezeChange(Body):
    """Other times or another name; what is left out stays."""

    name: str | None = None
    starts: Moment | None = None
    ends: Moment | None = None
    zone: str | None = None
    reason: str = ""


class LiftInput(Body):
    """Why it is lifted."""

    reason: str = ""


class FreezesQuery(PageQuery):
    """Which freezes."""

    state: Literal["standing", "all"] = "standing"


def _require_there(request: HttpRequest, values: Mapping[str, Any]) -> None:
    if "freeze_id" in values:
        _seen(request, Freeze, values["freeze_id"])
    if "window_id" in values:
        _seen(request, OpenHours, values["window_id"])


def _seen(request: HttpRequest, model: type[Placed], pk: int) -> Placed:
    """The row, or NotFound where there is none or the person may not know of its place."""
    row = model.objects.filter(pk=pk).first()
    if row is None or not places.is_seen(_user(request), row.scope):
        raise NotFound
    return row


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


@router.patch("/freezes/{int:freeze_id}", response=FreezeShape)
def change_freeze(request: HttpRequest, freeze_id: int, body: FreezeChange) -> dict[str, Any]:
    """Give a freeze other times or another name, with the reason; it keeps what is left out."""
    freeze = _seen(request, Freeze, freeze_id)
    said: dict[str, Any] = {
        "name": freeze.name if body.name is None else body.name,
        "starts": body.starts or freeze.starts_at,
        "ends": body.ends or freeze.ends_at or freeze.starts_at,
        "zone": freeze.zone if body.zone is None else body.zone,
    }
    changed = operations.change_freeze(freeze_id, actor=actor_of(request), reason=body.reason, **said)
    return freeze_shape(changed, now=clock.now())


@router.delete("/freezes/{int:freeze_id}", response=FreezeShape)
def lift_freeze(request: HttpRequest, freeze_id: int, body: LiftInput) -> dict[str, Any]:
    """Lift a freeze or let the stopped line go again, with the reason."""
    freeze = operations.lift_freeze(freeze_id, actor=actor_of(request), reason=body.reason)
    return freeze_shape(freeze, now=clock.now())


@router.get("/windows", response=Paged[WindowShape])
def list_windows(request: HttpRequest) -> dict[str, Any]:
    """The windows of every environment that I see."""
    return paging.whole(_windows(_user(request), now=clock.now()))


@router.post("/windows", response={200: EffectShape, 201: EffectShape})
def add_window(request: HttpRequest, body: NewWindow) -> Status[Any]:
    """Add a window to an environment, or say what it would do."""
    environment = _environment(request, body.scope)
    effect = effect_of(_user(request), environment, window=_rule(body))
    if body.dry_run:
        return Status(200, _effect(effect, None))
    made = operations.add_window(
        actor=actor_of(request), scope=body.scope, window=_rule(body), reason=body.reason
    )
    return Status(201, _effect(effect, made))


@router.put("/windows/{int:window_id}", response=EffectShape)
def change_window(request: HttpRequest, window_id: int, body: WindowInput) -> dict[str, Any]:
    """Put other hours in the place of a window; it has an id of its own then."""
    old = _seen(request, OpenHours, window_id)
    effect = effect_of(_user(request), _environment(request, old.scope), window=_rule(body), instead_of=old)
    if body.dry_run:
        return _effect(effect, None)
    made = operations.change_window(
        window_id, actor=actor_of(request), window=_rule(body), reason=body.reason
    )
    return _effect(effect, made)


@router.delete("/windows/{int:window_id}", response=EffectShape)
def end_window(request: HttpRequest, window_id: int, body: EndInput) -> dict[str, Any]:
    """End a window; where it was the last, the environment is open at all times."""
    old = _seen(request, OpenHours, window_id)
    effect = effect_of(_user(request), _environment(request, old.scope), window=None, instead_of=old)
    if not body.dry_run:
        operations.end_window(window_id, actor=actor_of(request), reason=body.reason)
    return {**_effect(effect, None), "saved": not body.dry_run}


def _environment(request: HttpRequest, scope: str) -> Environment:
    """The environment of a scope, be it said wrong: the field tells."""
    kind, _colon, name = scope.partition(":")
    found = access.visible(_user(request), Environment).filter(name=name).first()
    if kind != "environment" or found is None:
        text = _('Write "environment:NAME" of an environment that is there.')
        raise Invalid(missing=[field_error("scope", text)])
    return found


def _rule(body: Hours) -> Window:
    return Window(
        days=frozenset(openings.DAYS.index(day) for day in body.days),
        start=time.fromisoformat(body.from_),
        end=time.fromisoformat(body.to),
        zone=zones.zone_named(body.zone),
        first=body.first_day,
        last=body.last_day,
    )


def _effect(effect: Effect, made: OpenHours | None) -> dict[str, Any]:
    kept = Kept(rule=queries.window_of(made), row=made) if made else None
    return {
        "window": _window(made.scope, kept, now=clock.now()) if made and kept else None,
        "saved": made is not None,
        "openings": [{"starts": starts, "ends": ends} for starts, ends in effect.openings],
        "outside": [release.number for release in effect.outside],
    }


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
    found = openings.windows_by(access.visible(user, Environment))
    return [_window(openings.scope_of(name), each, now=now) for name, kept in found.items() for each in kept]


def _window(scope: str, kept: Kept, *, now: datetime) -> dict[str, Any]:
    rule = kept.rule
    return {
        "id": kept.row.pk if kept.row else None,
        "scope": scope,
        "days": [openings.DAYS[day] for day in sorted(rule.days)],
        "from_": f"{rule.start:%H:%M}",
        "to": f"{rule.end:%H:%M}",
        "zone": rule.zone.key,
        "first_day": rule.first,
        "last_day": rule.last,
        "open": rule.is_open(now),
    }


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
