"""In whose name a person may decide on a request: their own, and those that delegations give them."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q

from approvals import policy, queries
from approvals.holders import capacities_now, delegations_now, grants, moved, people_for
from approvals.matching import Capacity
from approvals.models import Request, Requirement
from approvals.states import Verdict
from portal.people.models import Delegation, RoleAssignment, User
from portal.people.queries import delegations_in_force


@dataclass(frozen=True, kw_only=True)
class Mandate:
    """A name in which a person may decide in one phase of a request.

    Attributes:
        giver: whom the person would decide for; None for themselves.
        capacities: what rows of the phase ask for and the person holds, or was given by the giver.
        rows: those that it is entitled to, open or met, and that are left to it.
        delegations: what gives it; none for oneself.
        is_barred: whether the giver wrote, changed or built what is asked about.
        used_by: who decided on all its rows in the same name; None while one is left.
    """

    giver: User | None
    capacities: frozenset[Capacity]
    rows: tuple[Requirement, ...]
    delegations: tuple[Delegation, ...] = ()
    is_barred: bool = False
    used_by: User | None = None


def mandates_of(
    request: Request, person: User, phase: str, *, also_barred: Iterable[int] = (), locked: bool = False
) -> list[Mandate]:
    """Return every name in which the person is entitled to a row of the phase, their own first.

    Whether the person is barred or has decided already is for the caller to ask.

    Args:
        also_barred: ids of people who don't count in this phase, such as who started the rollout.
        locked: lock roles and delegations until the transaction ends.
    """
    wanted = list(request.requirements.filter(phase=phase))
    given = _given(request, person, locked=locked)
    used = _used(request, phase, person, names={person.pk, *(giver.pk for giver in given)}, rows=wanted)
    found = [_mandate(None, person, capacities_now(person, request, locked=locked), wanted, used)]
    away = {*also_barred, *(user.pk for user in request.barred.all())}
    for giver, delegations in given.items():
        held = frozenset((row.role, row.scope) for row in delegations)
        found.append(
            _mandate(giver, person, held, wanted, used, delegations=delegations, barred=giver.pk in away)
        )
    return [mandate for mandate in found if mandate.capacities]


def names_given_to(person: User) -> list[tuple[User, frozenset[Capacity]]]:
    """For whom, and in what, the person may decide now, whatever is asked; two queries at most."""
    rows = list(delegations_in_force().filter(taker=person).select_related("giver"))
    if not rows:
        return []
    givers = {row.giver_id: row.giver for row in rows}
    held = RoleAssignment.objects.filter(user__in=givers, revoked_at=None)
    holds = set(held.values_list("user_id", "role", "scope"))
    return [
        (
            giver,
            frozenset(
                (row.role, row.scope)
                for row in rows
                if row.giver_id == pk and (pk, row.role, row.scope) in holds
            ),
        )
        for pk, giver in sorted(givers.items())
    ]


def is_left(
    request: Request,
    phase: str,
    person: User,
    held: frozenset[Capacity],
    *,
    giver: User | None,
    away: frozenset[int],
) -> bool:
    """Whether nobody else has decided in this name on some row that it is entitled to.

    Asks nothing more of the database when requirements, and decisions with their people and delegations, are
    read already: that is for lists.

    Args:
        held: what the name holds; giver: whose it is, None for the person's own.
        away: ids of decisions whose taker has moved since (`approvals.holders.moved`).
    """
    name = (giver or person).pk
    theirs = [
        decision
        for decision in request.decisions.all()
        if (decision.on_behalf_of_id or decision.person_id) == name and decision.person_id != person.pk
        if decision.verdict == Verdict.APPROVE and decision.revoked_at is None
    ]
    owner = policy.People(holders={capacity: frozenset({name}) for capacity in held})
    votes = queries.counting_votes(request, phase, theirs, owner, away=away)
    entitled = [row for row in request.requirements.all() if row.phase == phase]
    return any(
        all(vote.capacities.isdisjoint(queries.accepted_by(row)) for vote in votes)
        for row in entitled
        if not held.isdisjoint(queries.accepted_by(row))
    )


def _given(request: Request, person: User, *, locked: bool) -> dict[User, list[Delegation]]:
    """By giver, the delegations to the person that are worth something here; roles are locked before them."""
    delegations = delegations_now(request, taker=person)
    if not delegations or queries.only_reads(person):
        return {}
    givers = {row.giver_id: row.giver for row in delegations}
    held = {pk: capacities_now(giver, request, locked=locked) for pk, giver in sorted(givers.items())}
    if locked:
        delegations = delegations_now(request, taker=person, locked=True)
    found: dict[User, list[Delegation]] = {}
    for row in delegations:
        if (row.role, row.scope) in held.get(row.giver_id, ()):
            found.setdefault(givers[row.giver_id], []).append(row)
    return found


def _mandate(
    giver: User | None,
    person: User,
    held: frozenset[Capacity],
    wanted: Iterable[Requirement],
    used: dict[tuple[int, int], User],
    *,
    delegations: Iterable[Delegation] = (),
    barred: bool = False,
) -> Mandate:
    name = (giver or person).pk
    entitled = [row for row in wanted if not held.isdisjoint(queries.accepted_by(row))]
    asked = frozenset(capacity for row in entitled for capacity in queries.accepted_by(row))
    left = tuple(row for row in entitled if (name, row.pk) not in used)
    others = [used[name, row.pk] for row in entitled if (name, row.pk) in used]
    return Mandate(
        giver=giver,
        capacities=held & asked,
        rows=left,
        delegations=tuple(row for row in delegations if (row.role, row.scope) in held & asked),
        is_barred=barred,
        used_by=others[0] if others and not left else None,
    )


def _used(
    request: Request, phase: str, person: User, *, names: set[int], rows: Iterable[Requirement]
) -> dict[tuple[int, int], User]:
    """By name and row, who else has decided on the row in this name with a decision that counts."""
    yes = request.decisions.filter(phase=phase, verdict=Verdict.APPROVE, revoked_at=None)
    theirs = Q(on_behalf_of__in=names) | Q(person__in=names, on_behalf_of=None)
    decisions = list(
        yes.filter(theirs).exclude(person=person).select_related("person").prefetch_related("delegations")
    )
    if not decisions:
        return {}
    votes = queries.counting_votes(
        request, phase, decisions, people_for(request, grants()), away=moved(decisions)
    )
    users = {decision.person_id: decision.person for decision in decisions}
    return {
        (vote.name, row.pk): users[vote.person]
        for vote in reversed(votes)
        for row in rows
        if not vote.capacities.isdisjoint(queries.accepted_by(row))
    }
