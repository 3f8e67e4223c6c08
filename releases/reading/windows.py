"""What other windows of an environment would do, worked out before they are saved."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from approvals.calendar import queries
from approvals.calendar.models import EVERYWHERE, Freeze, OpenHours
from approvals.calendar.rules import Window, evaluate, next_openings
from approvals.grades import EMERGENCY
from portal import access, clock
from portal.people.models import User
from releases import openings
from releases.catalog.models import Environment
from releases.models import Release
from releases.openings import Kept
from releases.reading.calendar import rules_of
from releases.states import ReleaseState

TOLD_OPENINGS = 3


@dataclass(frozen=True, kw_only=True)
class Effect:
    """How an environment would stand.

    Attributes:
        openings: the next spans in which it would be open; one without an end lasts.
        is_open_now: whether the first of them has begun.
        outside: releases scheduled for a time that would then be closed.
        is_always_open: whether no window would be left, so that only freezes close it.
    """

    openings: tuple[tuple[datetime, datetime | None], ...]
    is_open_now: bool
    outside: tuple[Release, ...]
    is_always_open: bool


def effect_of(
    user: User, environment: Environment, *, window: Window | None, instead_of: OpenHours | None = None
) -> Effect:
    """Say what a new window, another one or none in the place of one that stands would do.

    Args:
        window: what is to be added; None where one is only ended.
        instead_of: what it replaces.
    """
    gone = instead_of.pk if instead_of else None
    kept = [each for each in openings.windows_in(environment) if each.row is None or each.row.pk != gone]
    if window is not None:
        kept.append(Kept(rule=window))
    now = clock.now()
    rules = rules_of(environment, kept, _freezes(environment, now))
    spans = tuple(next_openings(rules, now, most=TOLD_OPENINGS))
    return Effect(
        openings=spans,
        is_open_now=bool(spans) and spans[0][0] == now,
        outside=tuple(_outside(user, environment, kept, now)),
        is_always_open=not kept,
    )


def _freezes(environment: Environment, now: datetime) -> list[Freeze]:
    scopes = [EVERYWHERE, openings.scope_of(environment.name)]
    return list(queries.standing(now).filter(scope__in=scopes))


def _outside(user: User, environment: Environment, kept: Iterable[Kept], now: datetime) -> Iterable[Release]:
    """Scheduled releases that start at a time when these windows are shut; emergencies pass."""
    windows = openings.windows_of(environment, kept)
    scheduled = access.visible(user, Release).filter(
        environment=environment, state=ReleaseState.SCHEDULED, scheduled_at__gt=now
    )
    for release in scheduled.exclude(grade=EMERGENCY).order_by("scheduled_at"):
        if windows and release.scheduled_at and not evaluate([windows], release.scheduled_at).is_open:
            yield release
