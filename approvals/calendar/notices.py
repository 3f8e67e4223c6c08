"""Who is told of a freeze: those who would begin something there, each in their own language and zone."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Final

from django.conf import settings
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from approvals.calendar import places
from approvals.calendar.models import EVERYWHERE, Freeze
from approvals.calendar.queries import title_of
from portal import clock
from portal.outbox.post import post
from portal.people.models import Role, RoleAssignment, User
from portal.ui import times
from portal.ui.looks import scope_name

TOLD = frozenset({Role.RELEASE_MANAGER, Role.PL, Role.TEAM_LEAD, Role.INFRA_SENIOR, Role.DIRECTOR})
TITLES: Final[Mapping[str, str | Promise]] = {
    "freeze.added": _("Freeze {name} ({scope}): {span}"),
    "freeze.stopped": _("The line is stopped ({scope})"),
    "freeze.lifted": _("Lifted: {name} ({scope})"),
}


def tell(freeze: Freeze, action: str, *, reason: str) -> None:
    """Write to everybody concerned, once for each act."""
    for user in concerned(freeze.scope):
        with ExitStack() as stack:
            stack.enter_context(override(user.language or settings.LANGUAGE_CODE))
            stack.enter_context(timezone.override(user.time_zone or settings.TIME_ZONE))
            title = str(TITLES[action]).format(
                name=title_of(freeze), scope=scope_name(freeze.scope), span=span_of(freeze)
            )
            post(
                f"freeze.{freeze.pk}.{action}:{user.username}",
                channel="mail" if user.email else "console",
                recipient=user.email or user.username,
                subject=title,
                body=reason,
                link="/calendar/",
            )


def concerned(scope: str) -> list[User]:
    """Everybody who begins or approves something in a place."""
    held = RoleAssignment.objects.filter(role__in=TOLD, revoked_at=None)
    if scope != EVERYWHERE:
        held = held.filter(scope__in=places.within(scope))
    return list(User.objects.filter(pk__in=held.values("user"), is_active=True).order_by("pk"))


def span_of(freeze: Freeze) -> str:
    """From when to when, in the reader's zone."""
    now = clock.now()
    moments = [freeze.starts_at, *([freeze.ends_at] if freeze.ends_at else [])]
    return " – ".join(times.absolute(moment, now=now) for moment in moments)
