"""What the tables say: the policy in force, the rows of a request with who met them, what waits for whom."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, prefetch_related_objects
from django.utils.translation import gettext_lazy as _

from approvals import grades, matching, policy, policy_table
from approvals.holders import grants, moved, people, people_for, serves
from approvals.models import Decision, PolicyVersion, Request, Requirement
from approvals.states import Phase, RequestState, Verdict
from portal import access
from portal.actors import Actor
from portal.errors import Conflict
from portal.people.models import Delegation, Role, User
from portal.people.queries import delegations_in_force
from portal.statements import Given, Question, hold_related


@dataclass(frozen=True, kw_only=True)
class Voice:
    """Somebody who decides: for themselves, or for a giver by delegation."""

    person: User
    giver: User | None = None

    @property
    def keys(self) -> frozenset[int]:
        """The ids of both."""
        return frozenset(user.pk for user in (self.person, self.giver) if user)


FRESH_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class RowStanding:
    """A requirement as it stands.

    Attributes:
        voices: who fills it, and for whom.
        candidates: who could fill it by a role of their own, decided or not.
        lost: who approved in a capacity for it that counts no more.
        stand_ins: who could fill it for one of the candidates.
    """

    requirement: Requirement
    voices: tuple[Voice, ...]
    candidates: tuple[User, ...]
    lost: tuple[User, ...] = ()
    stand_ins: tuple[Voice, ...] = ()

    @property
    def met_by(self) -> tuple[User, ...]:
        """The people who fill it."""
        return tuple(voice.person for voice in self.voices)

    @property
    def deciders(self) -> tuple[User, ...]:
        """Everybody who could fill it, for themselves or for a candidate."""
        people = (*self.candidates, *(voice.person for voice in self.stand_ins))
        return tuple(dict.fromkeys(people))

    @property
    def met(self) -> bool:
        """Whether as many people as asked for fill it."""
        return len(self.voices) >= self.requirement.count


@dataclass(frozen=True, kw_only=True)
class Standing:
    """All rows of a request."""

    request: Request
    rows: tuple[RowStanding, ...]

    @property
    def approvals(self) -> list[Decision]:
        """The approvals that were counted, to be compared with the record."""
        return _approvals(self.request)

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


_REQUESTS = Question(
    lambda: Request.objects.select_related("policy").defer("policy__table").filter(pk__among=Given("keys"))
)
_ROWS = Question(lambda: Requirement.objects.filter(request__pk__among=Given("requests")))
_BARRED = Question(
    lambda: (
        Request.barred.through.objects.select_related("user")
        .defer("user__password")
        .filter(request__pk__among=Given("requests"))
    )
)
_APPROVALS = Question(
    lambda: (
        Decision.objects.select_related("person", "on_behalf_of")
        .defer("person__password", "on_behalf_of__password")
        .filter(request__pk__among=Given("requests"), revoked_at=None, verdict=Verdict.APPROVE)
        .order_by("id")
    )
)
_USERS = Question(lambda: User.objects.defer("password").filter(pk__among=Given("keys")))
_DELEGATIONS = Question(lambda: delegations_in_force().select_related("giver", "taker"))


def standing(request: Request) -> Standing:
    """How one request stands, judged by who holds what at this moment."""
    return standings([request.pk])[request.pk]


def standings(request_ids: Iterable[int]) -> dict[int, Standing]:
    """How several requests stand, by id, in a fixed number of queries."""
    every = _REQUESTS.ask(keys=list(request_ids))
    _read_rows(every)
    decisions = _read_people(every)
    requests = [request for request in every if request.requirements.all()]
    nothing_asked = {
        each.pk: Standing(request=each, rows=()) for each in every if not each.requirements.all()
    }
    if not requests:
        return nothing_asked
    asked = {
        capacity
        for request in requests
        for row in request.requirements.all()
        for capacity in accepted_by(row)
    }
    held = grants(among=asked)
    present = _Present(
        users={
            **{decision.person_id: decision.person for decision in decisions},
            **{user.pk: user for user in _USERS.ask(keys=list({grant.person for grant in held}))},
        },
        delegations=tuple(_DELEGATIONS.ask()),
        moved=moved(decisions),
    )
    return nothing_asked | {
        request.pk: Standing(request=request, rows=_rows(request, people_for(request, held), present))
        for request in requests
    }


def _read_rows(requests: Sequence[Request]) -> None:
    """Let each request hold its rows."""
    rows: dict[int, list[Requirement]] = {request.pk: [] for request in requests}
    owners = {request.pk: request for request in requests}
    for row in _ROWS.ask(requests=list(rows)):
        row.request = owners[row.request_id]
        rows[row.request_id].append(row)
    for request in requests:
        hold_related(request, "requirements", rows[request.pk])


def _read_people(requests: Sequence[Request]) -> list[Decision]:
    """Let each request hold who is barred from it and the approvals that nobody took back; return these."""
    keys = [request.pk for request in requests]
    barred: dict[int, list[User]] = {key: [] for key in keys}
    for each in _BARRED.ask(requests=keys):
        barred[each.request_id].append(each.user)
    decisions = _APPROVALS.ask(requests=keys)
    prefetch_related_objects([each for each in decisions if each.on_behalf_of_id is not None], "delegations")
    for request in requests:
        hold_related(request, "barred", barred[request.pk])
        own = [each for each in decisions if each.request_id == request.pk]
        request.approvals = own  # type: ignore[attr-defined]  # read back by `_approvals`
    return decisions


@dataclass(frozen=True, kw_only=True)
class _Present:
    """What is read once for all requests: people by id, delegations in force, decisions of people moved."""

    users: Mapping[int, User]
    delegations: tuple[Delegation, ...]
    moved: frozenset[int]

    def voice(self, person: int, giver: int | None) -> Voice:
        """Who decided; for a giver it counts only while they hold the role, so that both are known."""
        return Voice(person=self.users[person], giver=None if giver is None else self.users[giver])


def _approvals(request: Request) -> list[Decision]:
    found: list[Decision] = request.approvals  # type: ignore[attr-defined]  # put there by `_read_people`
    return found


def _rows(request: Request, holders: policy.People, present: _Present) -> tuple[RowStanding, ...]:
    rows: list[RowStanding] = []
    for phase in Phase.values:
        rows += _phase_standing(request, phase, holders=holders, present=present)
    return tuple(rows)


def counting_votes(
    request: Request,
    phase: str,
    decisions: Iterable[Decision],
    holders: policy.People,
    *,
    away: frozenset[int] = frozenset(),
) -> list[matching.Vote]:
    """Decisions that count: on this content, by people not barred, in what they held then and hold still.

    Args:
        away: ids of decisions whose taker has moved since (`approvals.holders.moved`).
    """
    held_now = holders.capacities
    return [
        matching.Vote(
            person=decision.person_id,
            capacities=_still_held(decision, held_now, holders, away=away),
            giver=decision.on_behalf_of_id,
        )
        for decision in decisions
        if decision.phase == phase and decision.content_digest == request.content_digest
    ]


def _still_held(
    decision: Decision,
    held_now: Mapping[int, frozenset[matching.Capacity]],
    holders: policy.People,
    *,
    away: frozenset[int],
) -> frozenset[matching.Capacity]:
    """In what a decision counts still; for somebody, in what the giver holds and has not taken back.

    A delegation that ran out by its date is as good as on the day of the decision.
    """
    then = frozenset((role, scope) for role, scope in decision.capacities)
    if decision.on_behalf_of_id is None:
        return then & held_now.get(decision.person_id, frozenset())
    if not decision.person.is_active or decision.person_id in holders.barred or decision.pk in away:
        return frozenset()
    given = {(row.role, row.scope) for row in decision.delegations.all() if row.ended_at is None}
    return then & given & held_now.get(decision.on_behalf_of_id, frozenset())


def entitled_rows(request: Request, phase: str, capacities: Iterable[matching.Capacity]) -> list[Requirement]:
    """Rows of the phase, open or met, that somebody with these capacities could fill."""
    held = frozenset(capacities)
    return [row for row in request.requirements.filter(phase=phase) if not held.isdisjoint(accepted_by(row))]


def requests_waiting_for(
    user: User,
    capacities: Iterable[matching.Capacity],
    *,
    among: Mapping[Phase, QuerySet[Any, Any] | Collection[int] | None],
    giver: User | None = None,
) -> QuerySet[Request]:
    """Requests with a row that this person could fill and has not decided on, the most urgent first.

    A review waits while its request is open, the later phases once it is approved too; whether the subject
    has come that far is for the caller to say.

    Args:
        capacities: the [role, scope] pairs that the person holds now, or was given by `giver`.
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
        .exclude(barred__in=[user, giver or user])
        .order_by("deadline_at", "id")
    )


def is_kept_from(request: Request, user: User, phase: str) -> bool:
    """Whether the policy wants another to sign off than this person, who approved in the review.

    For whom somebody approved, and who approved for somebody, is no other.
    """
    if phase != Phase.SIGNOFF or not grade_policy(request.policy, request.grade).signoff_by_another:
        return False
    return any(
        user.pk in (decision.person_id, decision.on_behalf_of_id)
        and decision.phase == Phase.REVIEW
        and decision.revoked_at is None
        for decision in request.decisions.all()
        if decision.verdict == Verdict.APPROVE
    )


def lacks_factor(request: Request, verdict: str, actor: Actor, *, now: datetime) -> bool:
    """Whether the grade asks for a fresh second factor that the actor's session has not seen (attacks.md).

    An objection needs none: it must be heard. A token's session has seen none.
    """
    if verdict == Verdict.OBJECT or not request.grade:
        return False
    if grade_policy(request.policy, request.grade).second_factor != "fresh":
        return False
    return actor.factor_at is None or now.timestamp() - actor.factor_at >= FRESH_SECONDS


def open_objections(subject: str) -> QuerySet[Decision]:
    """Objections to a subject, in whatever round, that nobody has answered and nobody has withdrawn."""
    return Decision.objects.filter(
        request__subject=subject, verdict=Verdict.OBJECT, revoked_at=None, answered_at=None
    )


def only_reads(user: User) -> bool:
    """Whether the person is an auditor and nothing else: sees everything, changes nothing."""
    return {role for role, _scope in access.roles_of(user)} == {Role.AUDITOR.value}


def accepted_by(row: Requirement) -> frozenset[matching.Capacity]:
    """The (role, scope) pairs of which one entitles to the row."""
    return frozenset((role, scope) for role, scope in row.accepted)


def _phase_standing(
    request: Request, phase: str, *, holders: policy.People, present: _Present
) -> list[RowStanding]:
    stored = [row for row in request.requirements.all() if row.phase == phase]
    rows = [
        matching.Row(key=row.pk, role=row.role, count=row.count, accepted=accepted_by(row)) for row in stored
    ]
    votes = counting_votes(request, phase, _approvals(request), holders, away=present.moved)
    filled = matching.match(rows, votes)
    givers = {vote.person: vote.giver for vote in votes if vote.giver is not None}
    return [
        RowStanding(
            requirement=row,
            voices=tuple(present.voice(person, givers.get(person)) for person in filled[row.pk]),
            candidates=tuple(present.users[person] for person in sorted(holders.counting(accepted_by(row)))),
            lost=tuple(_lost(row, _approvals(request), votes)),
            stand_ins=tuple(_stand_ins(row, holders, present.delegations)),
        )
        for row in stored
    ]


def _lost(row: Requirement, decisions: Iterable[Decision], votes: Iterable[matching.Vote]) -> Iterable[User]:
    counting = {vote.person for vote in votes if not vote.capacities.isdisjoint(accepted_by(row))}
    for decision in decisions:
        held_then = frozenset((role, scope) for role, scope in decision.capacities) & accepted_by(row)
        if decision.phase == row.phase and held_then and decision.person_id not in counting:
            yield decision.person


def _stand_ins(
    row: Requirement, holders: policy.People, delegations: Iterable[Delegation]
) -> Iterable[Voice]:
    """Who decides for a candidate of the row now; neither of the two is barred."""
    for each in delegations:
        capacity = (each.role, each.scope)
        if (
            capacity in accepted_by(row)
            and each.giver_id in holders.counting([capacity])
            and each.taker_id not in holders.barred
            and serves(each, row.request, holders.barred)
        ):
            yield Voice(person=each.taker, giver=each.giver)
