"""Who holds which role now, and who may decide for them, as the rules want to see it.

Only active people count, and no grant or delegation that somebody barred made for the occasion.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from approvals.matching import Capacity
from approvals.models import Decision, Request
from approvals.policy import People
from approvals.policy_table import MANDATES
from portal.people.models import Delegation, RoleAssignment, User
from portal.people.queries import delegations_in_force

# Written down: it is asked before each wave.
GRANTS = """
SELECT held.user_id, held.role, held.scope, held.granted_by_id, held.granted_at
FROM people_roleassignment AS held JOIN people_user AS person ON person.id = held.user_id AND person.is_active
WHERE held.revoked_at IS NULL AND held.role = ANY(%s)
"""


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


def grants(*, among: Collection[Capacity] | None = None) -> list[Grant]:
    """Every role that can decide, and who holds it at this moment.

    Args:
        among: only these pairs of role and scope; all of them by default.
    """
    held = GRANTS if among is None else f"{GRANTS} AND held.role = ANY(%s) AND held.scope = ANY(%s)"
    wanted = [sorted(set(each)) for each in zip(*among, strict=True)] if among else [[], []]
    with connection.cursor() as cursor:
        cursor.execute(held, [sorted(MANDATES), *(wanted if among is not None else ())])
        found = [Grant(person, (role, scope), by, at) for person, role, scope, by, at in cursor.fetchall()]
    return [each for each in found if among is None or each.capacity in among]


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


def capacities_now(user: User, request: Request, *, locked: bool = True) -> frozenset[Capacity]:
    """The (role, scope) pairs in which a person may decide this request at this moment.

    Args:
        locked: lock them, so that a role taken away at the same moment is gone before or after the decision.
    """
    barred = frozenset(person.pk for person in request.barred.all())
    held = RoleAssignment.objects.filter(user=user, revoked_at=None, role__in=MANDATES)
    rows = held.select_for_update(of=("self",)) if locked else held
    return frozenset(
        (row.role, row.scope)
        for row in rows.order_by("id")
        if Grant(user.pk, (row.role, row.scope), row.granted_by_id, row.granted_at).counts(
            barred, request.watched_since
        )
    )


def delegations_now(request: Request, *, taker: User | None = None, locked: bool = False) -> list[Delegation]:
    """The delegations by which somebody may decide this request at this moment.

    One that somebody barred made since the request is watched is worth nothing here, as with roles.
    """
    rows = delegations_in_force() if taker is None else delegations_in_force().filter(taker=taker)
    rows = rows.select_for_update(of=("self",)) if locked else rows
    barred = frozenset(person.pk for person in request.barred.all())
    return [row for row in rows.select_related("giver", "taker") if serves(row, request, barred)]


def serves(row: Delegation, request: Request, barred: frozenset[int]) -> bool:
    """Whether the delegation was not made for this request by somebody barred from it."""
    made = Grant(row.taker_id, (row.role, row.scope), row.made_by_id, row.made_at)
    return made.counts(barred, request.watched_since)


def moved(decisions: Iterable[Decision]) -> frozenset[int]:
    """Ids of the decisions for somebody whose taker has lost every role that they had when deciding.

    Who was asked to decide for another was asked as the colleague they were (rules.md, "moved").
    """
    for_others = [decision for decision in decisions if decision.on_behalf_of_id is not None]
    takers = {decision.person_id for decision in for_others}
    held = list(RoleAssignment.objects.filter(user__in=takers)) if takers else []
    return frozenset(decision.pk for decision in for_others if _has_moved(decision, held))


def _has_moved(decision: Decision, held: Iterable[RoleAssignment]) -> bool:
    at = decision.decided_at
    then = [
        row
        for row in held
        if row.user_id == decision.person_id
        and row.granted_at <= at
        and (row.revoked_at is None or row.revoked_at > at)
    ]
    return bool(then) and all(row.revoked_at is not None for row in then)
