"""What waits for a person: trouble, decisions, checks and their own releases (screens.md 2.1)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from approvals import queries as approval_queries
from approvals.holders import moved
from approvals.mandates import is_left, names_given_to
from approvals.matching import Capacity
from approvals.models import Decision, Request
from approvals.states import Phase
from portal import access
from portal.frame import Counts
from portal.people.models import User
from releases import queries
from releases.catalog.models import Environment
from releases.catalog.policies.queries import waiting_for as proposals_waiting_for
from releases.models import Check, CheckPhase, Release
from releases.states import OWING, PENDING, ReleaseState

S = ReleaseState
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


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """Who asks, with what is asked again and again: the roles held and the environments seen."""

    user: User
    held: frozenset[Capacity]
    environments: tuple[int, ...]

    def releases(self) -> QuerySet[Release]:
        """The releases that the person may see."""
        seen = Release.objects.filter(environment__in=self.environments)
        return seen.select_related("environment", "author")


def inbox(user: User) -> list[Waiting]:
    """Everything that waits for the person, worst first, then by deadline."""
    reader = _Reader(
        user=user,
        held=access.roles_of(user),
        environments=tuple(access.visible(user, Environment).values_list("pk", flat=True)),
    )
    mine = _mine(reader)
    trouble = [row for row in mine if row.kind == "trouble"]
    own = [row for row in mine if row.kind == "own"]
    return [*trouble, *_decisions(reader), *_checks(reader), *own]


def counts_of(waiting: Iterable[Waiting], *, proposals: int) -> Counts:
    """The two numbers in every header, of an inbox that is at hand.

    Args:
        proposals: how many changes of the policy wait for the person's signature.
    """
    kinds = [row.kind for row in waiting]
    return {"waiting_count": len(kinds) + proposals, "trouble_count": kinds.count("trouble")}


def counts(user: object) -> Counts:
    """The two numbers in every header."""
    if not isinstance(user, User):
        return counts_of([], proposals=0)
    return counts_of(inbox(user), proposals=len(proposals_waiting_for(user)))


def _mine(reader: _Reader) -> list[Waiting]:
    """My releases that need me, and those I started that failed or hold."""
    started = Release.objects.filter(state__in=TROUBLE_STATES, rollouts__started_by=reader.user)
    needs_me = Q(author=reader.user, state__in=[*TROUBLE_STATES, *OWN_STATES]) | Q(
        pk__in=started.values("pk")
    )
    return [
        Waiting(kind="trouble" if release.state in TROUBLE_STATES else "own", release=release)
        for release in reader.releases().filter(needs_me).order_by("-changed_at")
    ]


def _decisions(reader: _Reader) -> list[Waiting]:
    """Releases whose state asks for a phase in which the person may still fill a row, for whomever."""
    asked: dict[int, Waiting] = {}
    for giver, held in [(None, reader.held), *names_given_to(reader.user)]:
        for row in _asked_in(reader, held, giver):
            asked.setdefault(row.release.pk, row)
    rows = _unmet(list(asked.values()))
    return sorted(rows, key=lambda row: (row.deadline_at is None, row.deadline_at, row.release.number))


def _asked_in(reader: _Reader, held: frozenset[Capacity], giver: User | None) -> list[Waiting]:
    """What asks for one name in which the person decides."""
    among = {
        phase: Release.objects.filter(state__in=states).values("approval_request")
        for phase, states in PHASE_STATES.items()
    }
    requests = approval_queries.requests_waiting_for(reader.user, held, among=among, giver=giver)
    found = list(_of(requests, reader, giver))
    away = moved(decision for release in found for decision in _decisions_on(release))
    return [
        _asked(release, giver)
        for release in found
        if (request := release.approval_request)
        and not _is_kept_from(release, reader.user, giver)
        and is_left(request, _phase_of(release), reader.user, held, giver=giver, away=away)
    ]


def _asked(release: Release, giver: User | None) -> Waiting:
    request = release.approval_request
    deadline_at = request.deadline_at if request else None
    return Waiting(
        kind="decision", release=release, phase=_phase_of(release), deadline_at=deadline_at, giver=giver
    )


def _decisions_on(release: Release) -> list[Decision]:
    return list(release.approval_request.decisions.all()) if release.approval_request else []


def _is_kept_from(release: Release, person: User, giver: User | None) -> bool:
    """Whether the policy wants another than the person, or than whom they would decide for."""
    request, phase = release.approval_request, _phase_of(release)
    names = [user for user in (person, giver) if user is not None]
    return request is not None and any(approval_queries.is_kept_from(request, name, phase) for name in names)


def _of(requests: QuerySet[Request], reader: _Reader, giver: User | None) -> QuerySet[Release]:
    """The releases behind the requests; nobody judges the result of a rollout for who started it."""
    judged = [state for phase in queries.AFTER_START for state in PHASE_STATES[phase]]
    names = [reader.user, giver or reader.user]
    started = Release.objects.filter(state__in=judged, rollouts__started_by__in=names)
    return (
        reader.releases()
        .filter(approval_request__in=requests)
        .exclude(pk__in=started.values("pk"))
        .select_related("approval_request__policy")
        .prefetch_related(
            "approval_request__requirements",
            "approval_request__decisions__person",
            "approval_request__decisions__delegations",
        )
    )


def _unmet(rows: list[Waiting]) -> list[Waiting]:
    """Those whose phase asks for somebody still; an open review always does."""
    later = {row.release.approval_request_id or 0 for row in rows if row.phase in queries.AFTER_START}
    standings = approval_queries.standings(later) if later else {}
    met = {
        row.release.pk
        for row in rows
        if (standing := standings.get(row.release.approval_request_id or 0)) and standing.is_met(row.phase)
    }
    return [row for row in rows if row.release.pk not in met]


def _phase_of(release: Release) -> str:
    return next(str(phase) for phase, states in PHASE_STATES.items() if release.state in states)


def _checks(reader: _Reader) -> list[Waiting]:
    """Required open checks that ask for a role the person holds somewhere in the release's scopes."""
    due = Q(pk__in=[])
    for phase, states in CHECK_STATES.items():
        due |= Q(phase=phase, release__state__in=states)
    roles = {role for role, _scope in reader.held}
    checks = (
        Check.objects.filter(due, required=True, kind="person", role__in=roles)
        .exclude(result__in=["done", "not_applicable"])
        .filter(release__environment__in=reader.environments)
        .select_related("release__environment", "release__author")
        .prefetch_related("release__items__service__team")
    )
    counted: dict[int, list[Check]] = {}
    for check in checks:
        scopes = queries.scopes_of(check.release, check.release.items.all())
        if any((check.role, scope) in reader.held for scope in scopes):
            counted.setdefault(check.release_id, []).append(check)
    return [
        Waiting(kind="check", release=found[0].release, open_checks=len(found))
        for _number, found in sorted(counted.items())
    ]
