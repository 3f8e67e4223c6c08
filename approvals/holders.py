"""Who holds which role now, as the rules want to see it: active people, without suspicious grants."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q, QuerySet

from approvals.matching import Capacity
from approvals.models import Request
from approvals.policy import People
from approvals.policy_table import MANDATES
from portal.people.models import RoleAssignment, User


def people(
    *, barred: Iterable[int] = (), author: int | None = None, watched_since: datetime | None = None
) -> People:
    """Return every active holder of a role that can decide.

    Args:
        barred: ids of the people who don't count.
        watched_since: from then on a grant made by someone barred is worth nothing here.
    """
    away = frozenset(barred)
    holders: dict[Capacity, set[int]] = {}
    for person, role, scope in _trusted(away, watched_since).values_list("user_id", "role", "scope"):
        holders.setdefault((role, scope), set()).add(person)
    return People(
        holders={capacity: frozenset(persons) for capacity, persons in holders.items()},
        barred=away,
        author=author,
    )


def people_for(request: Request) -> People:
    """The people of one request: its barred, and the grants made since it is watched."""
    barred = frozenset(user.pk for user in request.barred.all())
    return people(barred=barred, author=request.opened_by_id, watched_since=request.watched_since)


def capacities_now(user: User, request: Request) -> frozenset[Capacity]:
    """The (role, scope) pairs in which a person may decide this request at this moment; locks them.

    A role that is being taken away at the same moment is gone either before or after the decision.
    """
    barred = frozenset(person.pk for person in request.barred.all())
    held = _trusted(barred, request.watched_since).filter(user=user).select_for_update(of=("self",))
    return frozenset(held.values_list("role", "scope"))


def _trusted(barred: frozenset[int], watched_since: datetime | None) -> QuerySet[RoleAssignment]:
    held = RoleAssignment.objects.filter(revoked_at=None, user__is_active=True, role__in=MANDATES)
    if watched_since is None:
        return held
    return held.exclude(Q(granted_by__in=barred) & Q(granted_at__gte=watched_since))
