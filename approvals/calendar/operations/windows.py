"""Saying on the page when an environment is open; what its catalog file says is changed in the file alone.

Windows of both kinds stand together: a place is open while one of them is (docs/decisions/0010). Whoever
may lift what closes the whole of a place may say when it is open: more is opened by nobody else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from approvals.calendar import notices, places, queries
from approvals.calendar.live import TOPIC
from approvals.calendar.models import OpenHours
from approvals.calendar.operations.checks import check, is_place, noting_refusals, require_operate
from approvals.calendar.rules import Window
from approvals.operations.refusals import check_reason
from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict, Invalid, Missing, NotAllowed, NotFound, field_error
from portal.live.publish import touch


def add_window(*, actor: Actor, scope: str, window: Window, reason: str) -> OpenHours:
    """Let a place be open in these hours too; the first window closes it outside of them.

    Args:
        scope: "environment:NAME".

    Raises:
        Invalid: names every wrong field.
        NotAllowed: `queries.may_set_windows` says who may.
    """
    with noting_refusals(actor, scope, subject=("windows", scope)), transaction.atomic():
        now = clock.now()
        text = _('Write "environment:NAME" of an environment that is there.')
        is_there = scope.startswith("environment:") and is_place(actor, scope)
        faults = [] if is_there else [field_error("scope", text)]
        check([*faults, *_wrong(window, reason, now=now)])
        _require(actor, scope)
        hours = _create(actor, now, scope=scope, window=window, reason=reason)
        _tell(hours, "window.added", actor=actor, reason=reason, after=said(hours))
    return hours


def change_window(hours_id: int, *, actor: Actor, window: Window, reason: str) -> OpenHours:
    """Put other hours in the place of these; returns the new row, which names the old one.

    Raises:
        NotFound: there is none, or the person may not know of its place.
        Invalid: names every wrong field.
        Conflict: it was ended or changed already.
        NotAllowed: as for adding.
    """
    with _changing(hours_id, actor=actor) as (old, now):
        check(_wrong(window, reason, now=now))
        _require(actor, old.scope)
        _end(old, actor, now, reason)
        new = _create(actor, now, scope=old.scope, window=window, reason=reason, replaces=old)
        _tell(new, "window.changed", actor=actor, reason=reason, before=said(old), after=said(new))
    return new


def end_window(hours_id: int, *, actor: Actor, reason: str) -> OpenHours:
    """Take these hours away; where they were the last, the place is open at all times.

    Raises:
        NotFound, Invalid, Conflict, NotAllowed: as for changing.
    """
    with _changing(hours_id, actor=actor) as (hours, now):
        check_reason(reason)
        _require(actor, hours.scope)
        _end(hours, actor, now, reason)
        _tell(hours, "window.ended", actor=actor, reason=reason, before=said(hours))
    return hours


def said(hours: OpenHours) -> dict[str, Any]:
    """What the record keeps of a window."""
    return {
        "scope": hours.scope,
        "days": hours.days,
        "from": f"{hours.opens_at:%H:%M}",
        "to": f"{hours.closes_at:%H:%M}",
        "zone": hours.zone,
        "first_day": hours.first_day.isoformat() if hours.first_day else None,
        "last_day": hours.last_day.isoformat() if hours.last_day else None,
    }


def _wrong(window: Window, reason: str, *, now: datetime) -> list[Missing]:
    found = [] if window.days else [field_error("days", _("Choose at least one day."))]
    last = window.last
    if last is not None and window.first is not None and last < window.first:
        found.append(field_error("last_day", _("The last day comes before the first.")))
    elif last is not None and last < now.astimezone(window.zone).date():
        found.append(field_error("last_day", _("The last day is over already.")))
    try:
        check_reason(reason)
    except Invalid as error:
        found += error.missing
    return found


def _create(
    actor: Actor,
    now: datetime,
    *,
    scope: str,
    window: Window,
    reason: str,
    replaces: OpenHours | None = None,
) -> OpenHours:
    return OpenHours.objects.create(
        scope=scope,
        days=sorted(window.days),
        opens_at=window.start,
        closes_at=window.end,
        zone=window.zone.key,
        first_day=window.first,
        last_day=window.last,
        reason=reason,
        replaces=replaces,
        added_by=actor.user,
        added_at=now,
    )


def _end(hours: OpenHours, actor: Actor, now: datetime, reason: str) -> None:
    hours.ended_at, hours.ended_by, hours.end_reason = now, actor.user, reason
    hours.save(update_fields=["ended_at", "ended_by", "end_reason"])


@contextmanager
def _changing(hours_id: int, *, actor: Actor) -> Iterator[tuple[OpenHours, datetime]]:
    """Yield the locked row, which still stands, and the time."""
    scope = OpenHours.objects.filter(pk=hours_id).values_list("scope", flat=True).first() or ""
    with noting_refusals(actor, scope, subject=("windows", scope)), transaction.atomic():
        hours = OpenHours.objects.select_for_update().filter(pk=hours_id).first()
        if hours is None or (actor.user is not None and not places.is_seen(actor.user, hours.scope)):
            raise NotFound
        if hours.ended_at is not None:
            raise Conflict(_("This window was ended or changed already. Look at those that stand."))
        yield hours, clock.now()


def _require(actor: Actor, scope: str) -> None:
    """Raise unless the person may say when this place is open; the portal itself acts by order."""
    if actor.user is None:
        return
    require_operate(actor)
    if not queries.may_set_windows(actor.user, scope):
        raise NotAllowed(missing=queries.who_sets_windows(scope))


def _tell(
    hours: OpenHours,
    action: str,
    *,
    actor: Actor,
    reason: str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    subject = ("windows", hours.scope)
    record(action, actor=actor, subject=subject, before=before, after=after, reason=reason)
    touch(TOPIC, action)
    notices.tell_windows(hours, action, reason=reason)
