"""Opening and ending a round, and letting its state follow its rows.

`filed_under` is the number of the release in the record, passed through untouched.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from approvals import queries
from approvals.models import PolicyVersion, Request, Requirement
from approvals.operations.refusals import LIVE_STATES
from approvals.policy import RequiredRow
from approvals.states import Phase, RequestState
from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import NotFound
from portal.people.models import User
from portal.sentences import Text
from portal.transitions import move


def open_request(
    subject: str,
    *,
    grade: str,
    policy: PolicyVersion,
    content_digest: str,
    rows: Iterable[RequiredRow],
    barred: Iterable[User],
    actor: Actor,
    deadline_at: datetime | None = None,
    expires_at: datetime | None = None,
    watched_since: datetime | None = None,
    filed_under: int | None = None,
) -> Request:
    """Begin a round: copy the rows and the barred people, from which on nothing of them changes.

    Args:
        subject: the caller's opaque key.
        rows: what approvals.queries.required_rows returned.
        actor: the person who asks, or the portal where files were loaded from the command line.
    """
    rounds = Request.objects.filter(subject=subject)
    with transaction.atomic():
        request = Request.objects.create(
            subject=subject,
            round=max(rounds.values_list("round", flat=True), default=0) + 1,
            policy=policy,
            grade=grade,
            content_digest=content_digest,
            opened_at=clock.now(),
            opened_by=actor.user,
            deadline_at=deadline_at,
            expires_at=expires_at,
            watched_since=watched_since,
        )
        request.barred.set(barred)
        stored = [_requirement(request, row) for row in rows]
        _record_opened(request, stored, actor=actor, filed_under=filed_under)
        return request


def void_request(
    request_id: int, *, actor: Actor, reason: Text = "", filed_under: int | None = None
) -> Request:
    """End a round because its content or its subject is no longer what was asked for."""
    with transaction.atomic():
        request = lock(request_id)
        if request.state in LIVE_STATES:
            end(request, RequestState.VOID, actor=actor, reason=reason, filed_under=filed_under)
        return request


def settle(request_id: int, *, actor: Actor, filed_under: int | None = None) -> bool:
    """Let the state follow the rows, as when a role was taken away; returns whether it changed."""
    with transaction.atomic():
        request = lock(request_id)
        return follow_rows(request, actor=actor, filed_under=filed_under)[0]


def lock(request_id: int) -> Request:
    """Return the request under lock; nothing about it is true before."""
    request = Request.objects.select_for_update(of=("self",)).filter(pk=request_id).first()
    if request is None:
        raise NotFound
    return request


def follow_rows(request: Request, *, actor: Actor, filed_under: int | None) -> tuple[bool, queries.Standing]:
    """Open to approved when every review row is met; approved to open when one no longer is."""
    standing = queries.standing(request)
    met = standing.is_met(Phase.REVIEW)
    wanted = RequestState.APPROVED if met else RequestState.OPEN
    if request.state not in LIVE_STATES or request.state == wanted:
        return False, standing
    reason = "" if met else _("A decision no longer counts.")
    end(request, wanted, actor=actor, reason=reason, filed_under=filed_under)
    return True, standing


def end(request: Request, state: str, *, actor: Actor, reason: Text, filed_under: int | None) -> None:
    """Move a locked request and note when it was settled."""
    request.settled_at = None if state == RequestState.OPEN else clock.now()
    move(
        request,
        state,
        actor=actor,
        reason=reason,
        fields=["settled_at"],
        release=filed_under,
        content_digest=request.content_digest,
        data={"round": request.round},
    )


def _record_opened(
    request: Request, rows: Sequence[Requirement], *, actor: Actor, filed_under: int | None
) -> None:
    record(
        "request.opened",
        actor=actor,
        subject=("request", str(request)),
        after={
            "grade": request.grade,
            "policy": request.policy.version,
            "requirements": [str(row) for row in rows],
            "accepted": [row.accepted for row in rows],
            "barred": sorted(user.username for user in request.barred.all()),
        },
        content_digest=request.content_digest,
        release=filed_under,
    )


def _requirement(request: Request, row: RequiredRow) -> Requirement:
    return Requirement.objects.create(
        request=request,
        phase=row.phase,
        role=row.role,
        scope=row.scope,
        count=row.count,
        accepted=[list(capacity) for capacity in row.accepted],
        because=list(row.because),
        climbed=[{"role": step.role, "scope": step.scope, "why": step.why} for step in row.climbed],
        fulfillable=row.fulfillable,
    )
