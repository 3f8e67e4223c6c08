"""Who is told of a freeze or of other windows: who would begin something there, in their own language."""

from collections.abc import Mapping
from typing import Final

from django.conf import settings
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from approvals.calendar import places
from approvals.calendar.models import EVERYWHERE, Freeze, OpenHours
from approvals.calendar.queries import title_of, window_of
from approvals.calendar.wording import sentence_of
from portal import clock
from portal.notices import telling
from portal.notices.telling import Notice
from portal.people.models import Role, RoleAssignment, User
from portal.ui import times
from portal.ui.looks import scope_name

# What people choose a way for.
KIND: Final = "calendar"
TOLD = frozenset({Role.RELEASE_MANAGER, Role.PL, Role.TEAM_LEAD, Role.INFRA_SENIOR, Role.DIRECTOR})
TITLES: Final[Mapping[str, str | Promise]] = {
    "freeze.added": _("Freeze {name} ({scope}): {span}"),
    "freeze.changed": _("Changed: freeze {name} ({scope}): {span}"),
    "freeze.stopped": _("The line is stopped ({scope})"),
    "freeze.lifted": _("Lifted: {name} ({scope})"),
    "window.added": _("New window ({scope}): {hours}"),
    "window.changed": _("Changed window ({scope}): {hours}"),
    "window.ended": _("Window ended ({scope}): {hours}"),
}


def tell(freeze: Freeze, action: str, *, reason: str) -> None:
    """Write to everybody concerned, once for each act."""
    occasion = f"freeze.{freeze.pk}.{action}"
    if action == "freeze.changed":
        occasion += f".{int(clock.now().timestamp())}"
    telling.tell([_notice(user, freeze, action, reason, occasion) for user in concerned(freeze.scope)])


def tell_windows(hours: OpenHours, action: str, *, reason: str) -> None:
    """Write to everybody concerned by other hours of a place."""
    telling.tell([_hours_notice(user, hours, action, reason) for user in concerned(hours.scope)])


def concerned(scope: str) -> list[User]:
    """Everybody who begins or approves something in a place."""
    held = RoleAssignment.objects.filter(role__in=TOLD, revoked_at=None)
    if scope != EVERYWHERE:
        held = held.filter(scope__in=places.within(scope))
    return list(User.objects.filter(pk__in=held.values("user"), is_active=True).order_by("pk"))


def _hours_notice(user: User, hours: OpenHours, action: str, reason: str) -> Notice:
    with override(user.language or settings.LANGUAGE_CODE):
        words = {"scope": scope_name(hours.scope), "hours": sentence_of(window_of(hours))}
        return Notice(
            person=user,
            kind=KIND,
            key=f"windows.{hours.pk}.{action}:{user.username}",
            subject=str(TITLES[action]).format(**words),
            body=reason,
            link="/calendar/",
        )


def _notice(user: User, freeze: Freeze, action: str, reason: str, occasion: str) -> Notice:
    with override(user.language or settings.LANGUAGE_CODE), timezone.override(telling.zone_of(user)):
        words = {"name": title_of(freeze), "scope": scope_name(freeze.scope), "span": _span(freeze)}
        return Notice(
            person=user,
            kind=KIND,
            key=f"{occasion}:{user.username}",
            subject=str(TITLES[action]).format(**words),
            body=reason,
            link=f"/calendar/freezes/{freeze.pk}/",
        )


def _span(freeze: Freeze) -> str:
    """From when to when, in the reader's zone."""
    now = clock.now()
    moments = [freeze.starts_at, *([freeze.ends_at] if freeze.ends_at else [])]
    return " – ".join(times.absolute(moment, now=now) for moment in moments)
