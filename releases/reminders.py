"""What a deadline calls for: a reminder before it, word when it has passed, and a question one step up.

Each is told once for every recipient and deadline: the key of a message names both.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from approvals import policy
from approvals import queries as approval_queries
from approvals.models import Request
from approvals.states import Phase, Verdict
from portal.people.models import User
from releases import notices
from releases.models import Release
from releases.states import OWING, PENDING, ReleaseState

# How long before a deadline people are reminded; never more than a quarter of the time that there was.
AHEAD = timedelta(hours=24)
EXPIRING = PENDING | {ReleaseState.SUBMITTED}


@dataclass(frozen=True, kw_only=True)
class Due:
    """A reminder whose time has come: deadline, overdue or expiring; `at` is the deadline it is about."""

    what: str
    at: datetime
    phase: Phase


def due(release: Release, now: datetime) -> list[Due]:
    """The reminders that a release calls for now, told already or not."""
    request = release.approval_request
    if request is None:
        return []
    phase = awaited(release)
    found = []
    if phase is not None and request.deadline_at is not None:
        what = "overdue" if request.deadline_at <= now else "deadline"
        if _near(request, request.deadline_at) <= now:
            found.append(Due(what=what, at=request.deadline_at, phase=phase))
    ends = request.expires_at if release.state in EXPIRING else None
    if ends is not None and _near(request, ends) <= now < ends:
        found.append(Due(what="expiring", at=ends, phase=phase or Phase.REVIEW))
    return found


def awaited(release: Release) -> Phase | None:
    """The phase whose deadline runs for a release in this state."""
    if release.state == ReleaseState.IN_REVIEW:
        return Phase.REVIEW
    return Phase.OWED if release.state in OWING else None


def remind(release: Release, reminder: Due) -> None:
    """Tell whom a reminder concerns; once it is told, nothing."""
    request = release.approval_request
    if request is None or notices.is_told(release, notices.occasion(reminder.what, reminder.at)):
        return
    rows = approval_queries.standing(request).open(reminder.phase)
    deciders = _undecided(request, reminder.phase, rows)
    if reminder.what == "expiring":
        waits_for = deciders if release.state == ReleaseState.IN_REVIEW else []
        notices.tell_expiring(release, waits_for, at=reminder.at)
    elif rows and reminder.what == "deadline":
        notices.tell_deadline_near(release, deciders, at=reminder.at, phase=reminder.phase)
    elif rows:
        notices.tell_overdue(release, deciders, _above(request, rows), at=reminder.at)


def _near(request: Request, deadline: datetime) -> datetime:
    return deadline - min(AHEAD, (deadline - request.opened_at) / 4)


def _undecided(request: Request, phase: Phase, rows: Iterable[approval_queries.RowStanding]) -> list[User]:
    """Who could still fill one of the rows, for themselves or for another."""
    decisions = request.decisions.filter(phase=phase, revoked_at=None).exclude(verdict=Verdict.OBJECT)
    decided = set(decisions.values_list("person", flat=True))
    people = {user.pk: user for row in rows for user in row.deciders if user.pk not in decided}
    return list(people.values())


def _above(request: Request, rows: Iterable[approval_queries.RowStanding]) -> dict[User, list[str]]:
    """Who holds the next role up the ladder that anybody holds, with the roles that are late."""
    found: dict[User, list[str]] = {}
    for row in rows:
        asked = row.requirement
        scopes = {scope for _role, scope in asked.accepted}
        for user in _next_up(asked.role, scopes, barred=request.barred.values_list("pk", flat=True)):
            late = found.setdefault(user, [])
            if asked.role not in late:
                late.append(asked.role)
    return found


def _next_up(role: str, scopes: Iterable[str], *, barred: Iterable[int]) -> list[User]:
    """Climb until somebody who is not barred holds the role (rules.md, "Rows")."""
    above = policy.LADDER.get(role)
    while above is not None:
        held = Q(assignments__role=above, assignments__scope__in=list(scopes), assignments__revoked_at=None)
        people = User.objects.filter(held, is_active=True).exclude(pk__in=list(barred))
        if found := list(people.distinct().order_by("pk")):
            return found
        above = policy.LADDER.get(above)
    return []
