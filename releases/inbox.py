"""What waits for a person: trouble, decisions, checks and their own releases (screens.md 2.1)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from approvals import queries as approval_queries
from approvals.holders import moved
from approvals.mandates import is_left, names_given_to
from approvals.matching import Capacity
from approvals.models import Decision, Request
from approvals.states import Phase, Verdict
from portal import asked
from portal.frame import Counts
from portal.people.models import User
from portal.reader import Reader
from releases import queries
from releases.catalog.policies.queries import any_open as any_open_proposal
from releases.catalog.policies.queries import waiting_for as proposals_waiting_for
from releases.catalog.queries import environments_seen
from releases.models import Check, CheckPhase, Release
from releases.states import OWING, PENDING, ReleaseState

S = ReleaseState
KINDS = ("trouble", "decision", "check", "own")
TROUBLE_STATES = (S.FAILED, S.PAUSED)
OWN_STATES = (S.SENT_BACK, S.APPROVED, S.SCHEDULED)
PHASE_STATES = {
    Phase.REVIEW: (S.IN_REVIEW,),
    Phase.SIGNOFF: (S.AWAITING_SIGNOFF,),
    Phase.OWED: tuple(OWING),
}
CHECK_STATES = {
    CheckPhase.BEFORE: PENDING,
    CheckPhase.DURING: frozenset({S.ROLLING_OUT, S.PAUSED, S.VERIFYING, S.AWAITING_SIGNOFF}),
    CheckPhase.AFTER: frozenset({S.VERIFYING, S.AWAITING_SIGNOFF, S.ANNOUNCED, S.REVIEW_OWED}),
}
DECIDING_STATES = frozenset().union(*PHASE_STATES.values())
# In any other nothing waits for anybody.
ASKING_STATES = frozenset({*TROUBLE_STATES, *OWN_STATES}).union(
    *PHASE_STATES.values(), *CHECK_STATES.values()
)
# Asked for every page: a statement of its own, as writing it anew takes longer than it does.
ASKING = """
SELECT number, state, author_id, approval_request_id FROM releases_release
WHERE environment_id = ANY(%s) AND state = ANY(%s) ORDER BY changed_at DESC
"""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One row of the inbox.

    Attributes:
        kind: trouble, decision, check or own.
        phase: review, signoff or owed for a decision; "" otherwise.
        open_checks: how many checks wait for this person, for a row of kind check.
        giver: for whom the person would decide; None for themselves.
    """

    kind: str
    release: Release
    phase: str = ""
    deadline_at: datetime | None = None
    open_checks: int = 0
    giver: User | None = None


class _Asking(NamedTuple):
    """A release in a state that may ask something of somebody."""

    number: int
    state: str
    author: int | None
    request: int | None


@dataclass(frozen=True, kw_only=True)
class Section:
    """What waits of one kind.

    Attributes:
        total: how many there are, of which `rows` are the first.
    """

    kind: str
    total: int
    rows: tuple[Waiting, ...]


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One row of the inbox before its release is read, which most of a long inbox never is.

    Attributes:
        number: of the release; request: of its approval, for a decision.
    """

    kind: str
    number: int
    request: int = 0
    phase: str = ""
    deadline_at: datetime | None = None
    open_checks: int = 0
    giver: User | None = None


def sections(user: User, *, most: int | None = None) -> list[Section]:
    """What waits for the person by kind, worst first, then by deadline; empty kinds are left out.

    Args:
        most: how many of each kind are read; None for all.
    """
    return _sections(Reader(user), most=most)


def _sections(reader: Reader, *, most: int | None) -> list[Section]:
    asking = reader.once(_asking)
    rows = [*_mine(reader, asking), *_decisions(reader, asking), *_checks(reader, asking)]
    kinds = {kind: [row for row in rows if row.kind == kind] for kind in KINDS}
    shown = {kind: found[:most] for kind, found in kinds.items()}
    waiting = _waiting(reader, [row for found in shown.values() for row in found])
    return [
        Section(kind=kind, total=len(found), rows=tuple(each for each in waiting if each.kind == kind))
        for kind, found in kinds.items()
        if found
    ]


@dataclass(frozen=True, kw_only=True)
class Other:
    """Something besides releases that waits for a person: a finding or an incident, by its kind and key."""

    kind: str
    key: int
    title: str
    state: str
    environment: str
    since: datetime


# Filled by the apps that know the rows; releases cannot import them.
OTHERS: list[Callable[[User], list[Other]]] = []


def others(user: User, kind: str) -> list[Other]:
    """What of one kind waits for the person besides releases."""
    return [each for find in OTHERS for each in find(user) if each.kind == kind]


def inbox(user: User) -> list[Waiting]:
    """Everything that waits for the person, in the order of its sections."""
    return [row for section in sections(user) for row in section.rows]


def counts_of(found: Iterable[Section], *, others: int) -> Counts:
    """The two numbers in every header, of an inbox that is at hand.

    Args:
        others: how much waits for the person besides releases, such as changes of the policy.
    """
    totals = {section.kind: section.total for section in found}
    return {"waiting_count": sum(totals.values()) + others, "trouble_count": totals.get("trouble", 0)}


def may_owe_reviews(reader: Reader) -> bool:
    """Whether a release that the person sees stands where a review can be owed."""
    return any(each.state in OWING for each in reader.once(_asking))


def counts(reader: Reader) -> Counts:
    """The two numbers in every header."""
    is_asked = asked.first(reader, any_open_proposal) is not None
    others = len(proposals_waiting_for(reader.user)) if is_asked else 0
    return counts_of(_sections(reader, most=0), others=others)


def _waiting(reader: Reader, rows: Sequence[_Row]) -> list[Waiting]:
    """The rows with their releases, in their order."""
    numbers = {row.number for row in rows}
    if not numbers:
        return []
    read = _releases(reader).select_related("environment", "author").defer("content", "announcement")
    found = read.in_bulk(numbers)
    return [
        Waiting(
            kind=row.kind,
            release=found[row.number],
            phase=row.phase,
            deadline_at=row.deadline_at,
            open_checks=row.open_checks,
            giver=row.giver,
        )
        for row in rows
        if row.number in found
    ]


def _releases(reader: Reader) -> QuerySet[Release]:
    """The releases that the person may see."""
    return Release.objects.filter(environment__in=reader.once(environments_seen))


def _asking(reader: Reader) -> list[_Asking]:
    """The releases that may ask something of somebody, as little of each as says so, the newest first.

    Read once: where none is in a state that asks for a decision or a check, nothing more is.
    """
    with connection.cursor() as cursor:
        cursor.execute(ASKING, [list(reader.once(environments_seen)), sorted(ASKING_STATES)])
        return [_Asking(*row) for row in cursor.fetchall()]


def _mine(reader: Reader, asking: Sequence[_Asking]) -> list[_Row]:
    """My releases that need me, and those I started that failed or hold."""
    troubled = [each.number for each in asking if each.state in TROUBLE_STATES]
    started = Release.objects.filter(pk__in=troubled, rollouts__started_by=reader.user)
    mine = set(started.values_list("pk", flat=True)) if troubled else set()
    return [
        _Row(kind="trouble" if each.state in TROUBLE_STATES else "own", number=each.number)
        for each in asking
        if each.number in mine
        or (each.author == reader.user.pk and each.state in (*TROUBLE_STATES, *OWN_STATES))
    ]


def _decisions(reader: Reader, asking: Sequence[_Asking]) -> list[_Row]:
    """Releases whose state asks for a phase in which the person may still fill a row, for whomever."""
    among = _asked_by_phase(asking)
    if not among:
        return []
    asked: dict[int, _Row] = {}
    for giver, held in [(None, reader.roles), *names_given_to(reader.user)]:
        for row in _asked_in(reader, held, giver, among):
            asked.setdefault(row.number, row)
    rows = _unmet(list(asked.values()))
    return sorted(rows, key=lambda row: (row.deadline_at is None, row.deadline_at, row.number))


def _asked_by_phase(asking: Sequence[_Asking]) -> dict[Phase, list[int]]:
    """The approval requests of those whose state asks for a phase, by that phase."""
    found = {
        phase: [each.request for each in asking if each.request and each.state in states]
        for phase, states in PHASE_STATES.items()
    }
    return {phase: requests for phase, requests in found.items() if requests}


def _asked_in(
    reader: Reader, held: frozenset[Capacity], giver: User | None, among: dict[Phase, list[int]]
) -> list[_Row]:
    """What asks for one name in which the person decides."""
    requests = approval_queries.requests_waiting_for(reader.user, held, among=among, giver=giver)
    found = _of(requests, reader, giver)
    yes = Decision.objects.filter(
        request=OuterRef("approval_request"), verdict=Verdict.APPROVE, revoked_at=None
    )
    fields = ("number", "state", "approval_request", "approval_request__deadline_at", "has_decisions")
    rows = list(found.annotate(has_decisions=Exists(yes)).values_list(*fields))
    decided = [number for number, _state, _request, _deadline, has_decisions in rows if has_decisions]
    gone = _gone(found.filter(number__in=decided), reader, held, giver) if decided else frozenset()
    return [
        _Row(
            kind="decision",
            number=number,
            request=request,
            phase=_phase_of(state),
            # It is the review's: for a sign-off there is none.
            deadline_at=None if _phase_of(state) == Phase.SIGNOFF else deadline_at,
            giver=giver,
        )
        for number, state, request, deadline_at, _has_decisions in rows
        if number not in gone
    ]


def _gone(
    releases: QuerySet[Release], reader: Reader, held: frozenset[Capacity], giver: User | None
) -> frozenset[int]:
    """Those that others' decisions have taken from the person: nothing is left, or the policy wants another.

    Where nobody has decided there is nothing to look at: most of a long inbox is never read for this.
    """
    found = list(
        releases.select_related("approval_request__policy").prefetch_related(
            "approval_request__requirements",
            "approval_request__decisions__person",
            "approval_request__decisions__delegations",
        )
    )
    away = moved(decision for release in found for decision in _decisions_on(release))
    return frozenset(
        release.number
        for release in found
        if (request := release.approval_request)
        and (
            _is_kept_from(release, reader.user, giver)
            or not is_left(request, _phase_of(release.state), reader.user, held, giver=giver, away=away)
        )
    )


def _decisions_on(release: Release) -> list[Decision]:
    return list(release.approval_request.decisions.all()) if release.approval_request else []


def _is_kept_from(release: Release, person: User, giver: User | None) -> bool:
    """Whether the policy wants another than the person, or than whom they would decide for."""
    request, phase = release.approval_request, _phase_of(release.state)
    names = [user for user in (person, giver) if user is not None]
    return request is not None and any(approval_queries.is_kept_from(request, name, phase) for name in names)


def _of(requests: QuerySet[Request], reader: Reader, giver: User | None) -> QuerySet[Release]:
    """The releases behind the requests; nobody judges the result of a rollout for who started it."""
    judged = [state for phase in queries.AFTER_START for state in PHASE_STATES[phase]]
    names = [reader.user, giver or reader.user]
    started = Release.objects.filter(state__in=judged, rollouts__started_by__in=names)
    found = _releases(reader).filter(approval_request__in=requests, state__in=DECIDING_STATES)
    return found.exclude(pk__in=started.values("pk"))


def _unmet(rows: list[_Row]) -> list[_Row]:
    """Those whose phase asks for somebody still; an open review always does."""
    later = {row.request for row in rows if row.phase in queries.AFTER_START}
    standings = approval_queries.standings(later) if later else {}
    met = {
        row.number for row in rows if (standing := standings.get(row.request)) and standing.is_met(row.phase)
    }
    return [row for row in rows if row.number not in met]


def _phase_of(state: str) -> str:
    return next(str(phase) for phase, states in PHASE_STATES.items() if state in states)


def _checks(reader: Reader, asking: Sequence[_Asking]) -> list[_Row]:
    """Required open checks that ask for a role the person holds somewhere in the release's scopes."""
    due = Q()
    for phase, states in CHECK_STATES.items():
        if numbers := [each.number for each in asking if each.state in states]:
            due |= Q(phase=phase, release__in=numbers)
    if not due:
        return []
    roles = {role for role, _scope in reader.roles}
    checks = (
        Check.objects.filter(due, required=True, kind="person", role__in=roles)
        .exclude(result__in=["done", "not_applicable"])
        .select_related("release__environment")
        .defer("evidence", "release__content", "release__announcement")
        .prefetch_related("release__items__service__team")
    )
    counted: dict[int, list[Check]] = {}
    for check in checks:
        scopes = queries.scopes_of(check.release, check.release.items.all())
        if any((check.role, scope) in reader.roles for scope in scopes):
            counted.setdefault(check.release_id, []).append(check)
    return [
        _Row(kind="check", number=number, open_checks=len(found)) for number, found in sorted(counted.items())
    ]
