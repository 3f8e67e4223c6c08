"""What waits for a person: trouble, decisions, checks and their own releases (screens.md 2.1)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from approvals import queries as approval_queries
from approvals.models import Request
from approvals.states import Phase, RequestState
from portal import access
from portal.frame import Counts
from portal.people.models import RoleAssignment, User
from releases.models import Check, CheckPhase, Release
from releases.states import PENDING, ReleaseState

S = ReleaseState
TROUBLE_STATES = (S.FAILED, S.PAUSED)
OWN_STATES = (S.SENT_BACK, S.APPROVED, S.SCHEDULED)
PHASE_STATES = {
    Phase.REVIEW: (S.IN_REVIEW,),
    Phase.SIGNOFF: (S.AWAITING_SIGNOFF,),
    Phase.OWED: (S.REVIEW_OWED,),
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
    """

    kind: str
    release: Release
    phase: str = ""
    deadline_at: datetime | None = None
    open_checks: int = 0


def inbox(user: User) -> list[Waiting]:
    """Everything that waits for the person, worst first, then by deadline."""
    return [*_trouble(user), *_decisions(user), *_checks(user), *_own(user)]


def counts(user: object) -> Counts:
    """The two numbers in every header."""
    if not isinstance(user, User):
        return {"waiting_count": 0, "trouble_count": 0}
    waiting = inbox(user)
    trouble = sum(1 for row in waiting if row.kind == "trouble")
    return {"waiting_count": len(waiting), "trouble_count": trouble}


def _trouble(user: User) -> list[Waiting]:
    """My releases, and those I started, that failed or hold."""
    mine = Q(author=user) | Q(rollouts__started_by=user)
    found = _visible(user).filter(mine, state__in=TROUBLE_STATES).distinct().order_by("-changed_at")
    return [Waiting(kind="trouble", release=release) for release in found]


def _decisions(user: User) -> list[Waiting]:
    rows = []
    for phase, states in PHASE_STATES.items():
        requests = {request.pk: request for request in _requests(user, phase, states)}
        found = _visible(user).filter(approval_request__in=requests, state__in=states)
        for release in found:
            request = requests[release.approval_request_id or 0]
            rows.append(
                Waiting(kind="decision", release=release, phase=phase, deadline_at=request.deadline_at)
            )
    return sorted(rows, key=lambda row: (row.deadline_at is None, row.deadline_at, row.release.number))


def _requests(user: User, phase: str, states: Iterable[str]) -> QuerySet[Request]:
    """Requests where the person could fill a row; a review waits only while it is open."""
    among = Release.objects.filter(state__in=states).values("approval_request")
    found = approval_queries.requests_waiting_for(user, [phase], among=among)
    return found.filter(state=RequestState.OPEN) if phase == Phase.REVIEW else found


def _checks(user: User) -> list[Waiting]:
    """Required open checks that ask for a role the person holds somewhere in the release's scopes."""
    held: dict[str, set[str]] = {}
    for role, scope in RoleAssignment.objects.filter(user=user, revoked_at=None).values_list("role", "scope"):
        held.setdefault(role, set()).add(scope)
    due = Q(pk__in=[])
    for phase, states in CHECK_STATES.items():
        due |= Q(phase=phase, release__state__in=states)
    checks = (
        Check.objects.filter(due, required=True, kind="person", role__in=held)
        .exclude(result__in=["done", "not_applicable"])
        .filter(release__in=_visible(user))
        .select_related("release__environment", "release__author")
        .prefetch_related("release__items__service__team")
    )
    counted: dict[int, list[Check]] = {}
    for check in checks:
        if held[check.role] & _scopes(check.release):
            counted.setdefault(check.release_id, []).append(check)
    return [
        Waiting(kind="check", release=found[0].release, open_checks=len(found))
        for _number, found in sorted(counted.items())
    ]


def _own(user: User) -> list[Waiting]:
    found = _visible(user).filter(author=user, state__in=OWN_STATES).order_by("-changed_at")
    return [Waiting(kind="own", release=release) for release in found]


def _visible(user: User) -> QuerySet[Release]:
    return access.visible(user, Release).select_related("environment", "author")


def _scopes(release: Release) -> set[str]:
    environment = release.environment
    scopes = {"*", f"environment:{environment.name}", f"cluster_group:{environment.cluster_group}"}
    for item in release.items.all():
        scopes |= {f"service:{item.service.name}", f"team:{item.service.team.key}"}
    return scopes
