"""What the tables say: the policy in force, the rows of a request with who met them, what waits for whom."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from approvals import grades, matching, policy, policy_table
from approvals.holders import grants, people, people_for
from approvals.models import Decision, PolicyVersion, Request, Requirement
from approvals.states import Phase, RequestState, Verdict
from portal import access
from portal.errors import Conflict
from portal.people.models import Role, User


@dataclass(frozen=True, kw_only=True)
class RowStanding:
    """A requirement as it stands.

    Attributes:
        met_by: who fills it.
        candidates: who could fill it, decided or not.
        lost: who approved in a capacity for it that they hold no more.
    """

    requirement: Requirement
    met_by: tuple[User, ...]
    candidates: tuple[User, ...]
    lost: tuple[User, ...] = ()

    @property
    def met(self) -> bool:
        """Whether as many people as asked for fill it."""
        return len(self.met_by) >= self.requirement.count


@dataclass(frozen=True, kw_only=True)
class Standing:
    """All rows of a request."""

    request: Request
    rows: tuple[RowStanding, ...]

    def phase(self, phase: str) -> tuple[RowStanding, ...]:
        """The rows of one phase."""
        return tuple(row for row in self.rows if row.requirement.phase == phase)

    def open(self, phase: str) -> tuple[RowStanding, ...]:
        """The rows of a phase that still wait for somebody."""
        return tuple(row for row in self.phase(phase) if not row.met)

    def is_met(self, phase: str) -> bool:
        """Whether the phase has rows and all are met: nothing asked is nothing approved."""
        return bool(self.phase(phase)) and not self.open(phase)


def current_policy() -> PolicyVersion:
    """The policy in force.

    Raises:
        Conflict: there is none yet; without a policy nothing can be approved.
    """
    found = PolicyVersion.objects.first()
    if found is None:
        raise Conflict(_("No policy is loaded. An administrator must load one first."), code="no_policy")
    return found


def grade_policy(version: PolicyVersion, grade: str) -> policy_table.GradePolicy:
    """What this version demands of a grade."""
    return _grades_of(version.pk)[grade]


@lru_cache(maxsize=64)
def _grades_of(version_id: int) -> dict[str, policy_table.GradePolicy]:
    """Versions never change once written, so that they are read once."""
    return policy_table.read(PolicyVersion.objects.get(pk=version_id).table)


def required_rows(
    version: PolicyVersion,
    *,
    grade: str,
    proposed: str,
    parts: Sequence[policy.Part],
    barred: Iterable[int],
    author: int,
    watched_since: datetime | None = None,
) -> list[policy.RequiredRow]:
    """The rows that a submission now would copy, unfulfillable ones among them.

    Args:
        grade: what the author chose; when lower than `proposed`, the review rows are the proposed grade's.
    """
    lowered = grades.is_lowered(grade, proposed)
    return policy.requirements(
        grade_policy(version, grade),
        parts,
        people(grants(), barred=barred, author=author, watched_since=watched_since),
        review_of=grade_policy(version, proposed) if lowered else None,
    )


def standing(request: Request) -> Standing:
    """How one request stands, judged by who holds what at this moment."""
    return standings([request.pk])[request.pk]


def standings(request_ids: Iterable[int]) -> dict[int, Standing]:
    """How several requests stand, by id, in a fixed number of queries."""
    yes = (
        Decision.objects.filter(revoked_at=None, verdict=Verdict.APPROVE)
        .select_related("person")
        .order_by("id")
    )
    requests = Request.objects.filter(pk__in=list(request_ids)).prefetch_related(
        "requirements", "barred", Prefetch("decisions", queryset=yes, to_attr="approvals")
    )
    held = grants()
    users = User.objects.in_bulk({grant.person for grant in held})
    return {
        request.pk: Standing(request=request, rows=_rows(request, people_for(request, held), users))
        for request in requests
    }


def _rows(request: Request, holders: policy.People, users: dict[int, User]) -> tuple[RowStanding, ...]:
    decisions: list[Decision] = request.approvals  # type: ignore[attr-defined]  # prefetched under this name
    rows: list[RowStanding] = []
    for phase in Phase.values:
        rows += _phase_standing(request, phase, decisions=decisions, holders=holders, users=users)
    return tuple(rows)


def counting_votes(
    request: Request, phase: str, decisions: Iterable[Decision], holders: policy.People
) -> list[matching.Vote]:
    """Decisions that count: on this content, by people not barred, in what they held then and hold still."""
    held_now = holders.capacities()
    return [
        matching.Vote(
            person=decision.person_id,
            capacities=frozenset((role, scope) for role, scope in decision.capacities)
            & held_now.get(decision.person_id, frozenset()),
        )
        for decision in decisions
        if decision.phase == phase and decision.content_digest == request.content_digest
    ]


def entitled_rows(request: Request, phase: str, capacities: Iterable[matching.Capacity]) -> list[Requirement]:
    """Rows of the phase, open or met, that somebody with these capacities could fill."""
    held = frozenset(capacities)
    return [row for row in request.requirements.filter(phase=phase) if not held.isdisjoint(_accepted(row))]


def requests_waiting_for(
    user: User,
    capacities: Iterable[matching.Capacity],
    *,
    among: Mapping[Phase, QuerySet[Any, Any] | None],
) -> QuerySet[Request]:
    """Requests with a row that this person could fill and has not decided on, the most urgent first.

    A review waits while its request is open, the later phases once it is approved too; whether the subject
    has come that far is for the caller to say.

    Args:
        capacities: the [role, scope] pairs that the person holds now.
        among: by phase, the ids of the requests to look at, or None for all.
    """
    fits = Q()
    for role, scope in capacities:
        fits |= Q(accepted__contains=[[role, scope]])
    if not fits:
        return Request.objects.none()
    asked = Q(pk__in=[])
    for phase, ids in among.items():
        asked |= Q(phase=phase) & (Q() if ids is None else Q(request__in=ids))
    decided = Decision.objects.filter(
        person=user, revoked_at=None, request=OuterRef("request"), phase=OuterRef("phase")
    ).exclude(verdict=Verdict.OBJECT)
    over = Q(phase=Phase.REVIEW) & ~Q(request__state=RequestState.OPEN)
    rows = Requirement.objects.filter(fits, asked).exclude(over).exclude(Exists(decided))
    return (
        Request.objects.filter(
            state__in=[RequestState.OPEN, RequestState.APPROVED], pk__in=rows.values("request")
        )
        .exclude(barred=user)
        .order_by("deadline_at", "id")
    )


def is_kept_from(request: Request, user: User, phase: str) -> bool:
    """Whether the policy wants another to sign off than this person, who approved in the review."""
    if phase != Phase.SIGNOFF or not grade_policy(request.policy, request.grade).signoff_by_another:
        return False
    return any(
        decision.person_id == user.pk and decision.phase == Phase.REVIEW and decision.revoked_at is None
        for decision in request.decisions.all()
        if decision.verdict == Verdict.APPROVE
    )


def open_objections(subject: str) -> QuerySet[Decision]:
    """Objections to a subject, in whatever round, that nobody has answered and nobody has withdrawn."""
    return Decision.objects.filter(
        request__subject=subject, verdict=Verdict.OBJECT, revoked_at=None, answered_at=None
    )


def only_reads(user: User) -> bool:
    """Whether the person is an auditor and nothing else: sees everything, changes nothing."""
    return {role for role, _scope in access.roles_of(user)} == {Role.AUDITOR.value}


def _accepted(row: Requirement) -> frozenset[matching.Capacity]:
    return frozenset((role, scope) for role, scope in row.accepted)


def _phase_standing(
    request: Request,
    phase: str,
    *,
    decisions: Iterable[Decision],
    holders: policy.People,
    users: dict[int, User],
) -> list[RowStanding]:
    stored = [row for row in request.requirements.all() if row.phase == phase]
    rows = [
        matching.Row(key=row.pk, role=row.role, count=row.count, accepted=_accepted(row)) for row in stored
    ]
    met_by = matching.match(rows, counting_votes(request, phase, decisions, holders))
    return [
        RowStanding(
            requirement=row,
            met_by=tuple(users[person] for person in met_by[row.pk]),
            candidates=tuple(users[person] for person in sorted(holders.counting(_accepted(row)))),
            lost=tuple(_lost(row, phase, decisions, holders)),
        )
        for row in stored
    ]


def _lost(
    row: Requirement, phase: str, decisions: Iterable[Decision], holders: policy.People
) -> Iterable[User]:
    for decision in decisions:
        held_then = frozenset((role, scope) for role, scope in decision.capacities) & _accepted(row)
        is_gone = decision.person_id not in holders.counting(held_then)
        if decision.phase == phase and held_then and is_gone:
            yield decision.person
