"""Who holds which role now, as the rules want to see it: active people, without suspicious grants."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from approvals.matching import Capacity
from approvals.models import Request
from approvals.policy import People
from approvals.policy_table import MANDATES
from portal.people.models import RoleAssignment, User


@dataclass(frozen=True)
class Grant:
    """One active assignment of an active person, as far as deciding is concerned."""

    person: int
    capacity: Capacity
    granted_by: int | None
    granted_at: datetime

    def counts(self, barred: frozenset[int], watched_since: datetime | None) -> bool:
        """A grant made by somebody barred while the subject was on its way is worth nothing for it."""
        return watched_since is None or self.granted_by not in barred or self.granted_at < watched_since


def grants() -> list[Grant]:
    """Every role that can decide, and who holds it at this moment."""
    held = RoleAssignment.objects.filter(revoked_at=None, user__is_active=True, role__in=MANDATES)
    rows = held.values_list("user_id", "role", "scope", "granted_by_id", "granted_at")
    return [Grant(person, (role, scope), by, at) for person, role, scope, by, at in rows]


def people(
    held: Iterable[Grant],
    *,
    barred: Iterable[int] = (),
    author: int | None = None,
    watched_since: datetime | None = None,
) -> People:
    """Return who holds what among these grants.

    Args:
        barred: ids of the people who don't count.
        watched_since: from then on a grant made by someone barred is worth nothing here.
    """
    away = frozenset(barred)
    holders: dict[Capacity, set[int]] = {}
    for grant in held:
        if grant.counts(away, watched_since):
            holders.setdefault(grant.capacity, set()).add(grant.person)
    return People(
        holders={capacity: frozenset(persons) for capacity, persons in holders.items()},
        barred=away,
        author=author,
    )


def people_for(request: Request, held: Iterable[Grant]) -> People:
    """The people of one request: its barred, and the grants made since it is watched."""
    barred = [user.pk for user in request.barred.all()]
    return people(held, barred=barred, author=request.opened_by_id, watched_since=request.watched_since)


def capacities_now(user: User, request: Request) -> frozenset[Capacity]:
    """The (role, scope) pairs in which a person may decide this request at this moment; locks them.

    A role that is being taken away at the same moment is gone either before or after the decision.
    """
    barred = frozenset(person.pk for person in request.barred.all())
    held = RoleAssignment.objects.filter(user=user, revoked_at=None, role__in=MANDATES)
    rows = held.select_for_update(of=("self",)).order_by("id")
    return frozenset(
        (row.role, row.scope)
        for row in rows
        if Grant(user.pk, (row.role, row.scope), row.granted_by_id, row.granted_at).counts(
            barred, request.watched_since
        )
    )
