"""Deciding on a release: one operation behind every door (rules.md, "Verdicts")."""

from django.utils.translation import gettext_lazy as _

from approvals import operations
from approvals.models import Decision
from approvals.operations.refusals import stale_digest
from approvals.states import Phase, RequestState, Verdict
from portal import clock
from portal.actors import Actor
from portal.errors import Conflict, NotFound
from portal.live.publish import publish
from portal.sentences import Text
from releases import notices
from releases.guards import require_in_time
from releases.models import Release
from releases.operations.ends import close_reviewed
from releases.operations.locking import act, require_state
from releases.operations.moving import move_release
from releases.queries import deciding_phase, starters
from releases.states import ENDS, OWING, PENDING, ReleaseState

IN_REVIEW = frozenset({ReleaseState.IN_REVIEW})
BEFORE_FIRST_ACT = PENDING | {ReleaseState.ROLLING_OUT}
STATE_AFTER = {
    RequestState.APPROVED: ReleaseState.APPROVED,
    RequestState.OPEN: ReleaseState.IN_REVIEW,
    RequestState.SENT_BACK: ReleaseState.SENT_BACK,
    RequestState.REJECTED: ReleaseState.REJECTED,
}


def decide_release(
    number: int,
    *,
    actor: Actor,
    verdict: str,
    content_digest: str,
    reason: str = "",
    on_behalf_of: str | None = None,
) -> Decision:
    """Record one verdict on exactly this content; the last yes makes it approved and starts nothing.

    Args:
        verdict: approve, send_back, reject or object; all but the first need a reason.
        content_digest: what the person saw, "sha256:…".
        on_behalf_of: for whom, by delegation; as `approvals.operations.record_decision` has it.

    Raises:
        NotFound, Invalid, Conflict, NotAllowed: with the codes and in the order of rules.md, "Codes".
    """
    with act(number, actor=actor, refused="decision.refused") as release:
        phase = _phase(release, verdict)
        operations.check_verdict(verdict, reason, phase=phase, on_behalf_of=on_behalf_of)
        _require_decidable(release, verdict)
        if content_digest != release.content_digest:
            raise stale_digest()
        request = release.approval_request
        assert request is not None
        outcome = operations.record_decision(
            request.pk,
            actor=actor,
            verdict=verdict,
            content_digest=content_digest,
            reason=reason,
            phase=phase,
            on_behalf_of=on_behalf_of,
            also_barred=starters(release) if phase == Phase.OWED else (),
            filed_under=number,
        )
        _tell(release, outcome.decision, actor=actor)
        if not _follow(release, outcome, actor=actor, reason=reason):
            notices.touch_deciders(release)
        return outcome.decision


def take_back_decision(number: int, decision_id: int, *, actor: Actor) -> Decision:
    """Take one's own decision back, until the first step of the rollout has acted.

    Raises:
        NotFound: no such decision on this release.
        Conflict: the first step has acted, or the round is over.
        NotAllowed: it is somebody else's decision.
    """
    with act(number, actor=actor, refused="decision.refused") as release:
        decision = _decision_of(release, decision_id)
        if decision.verdict != Verdict.OBJECT:
            require_state(release, BEFORE_FIRST_ACT)
            if release.rollouts.filter(steps__acted_at__isnull=False).exists():
                raise Conflict(_("The rollout has begun. Stop it instead."))
        outcome = operations.revoke_decision(
            decision_id, request_id=decision.request_id, actor=actor, filed_under=number
        )
        publish(release.topic, "decision.revoked", {"by": actor.name, "decision": decision_id})
        _follow(release, outcome, actor=actor, reason="")
        return outcome.decision


def answer_objection(number: int, decision_id: int, *, actor: Actor, answer: str) -> Decision:
    """Answer an objection in words, as somebody who decides on the release.

    Raises:
        NotFound, Invalid, Conflict, NotAllowed: as for deciding.
    """
    with act(number, actor=actor, refused="decision.refused") as release:
        operations.check_reason(answer, field="answer")
        _decision_of(release, decision_id)
        assert release.approval_request_id is not None
        objection = operations.answer_objection(
            decision_id,
            request_id=release.approval_request_id,
            actor=actor,
            answer=answer,
            phase=deciding_phase(release),
            filed_under=number,
        )
        publish(release.topic, "objection.answered", {"by": actor.name, "decision": decision_id})
        notices.touch_deciders(release)
        return objection


def recheck(number: int, *, actor: Actor) -> bool:
    """Let a pending release follow its rows, as when an approver lost the role; returns whether it moved."""
    with act(number, actor=actor) as release:
        request = release.approval_request
        if release.state not in PENDING or request is None:
            return False
        if not operations.settle(request.pk, actor=actor, filed_under=number):
            return False
        request.refresh_from_db(fields=["state"])
        reason = "" if request.state == RequestState.APPROVED else _("A decision no longer counts.")
        _move(release, request.state, actor=actor, reason=reason)
        return True


def _phase(release: Release, verdict: str) -> str:
    return deciding_phase(release) if verdict == Verdict.APPROVE else Phase.REVIEW


def _require_decidable(release: Release, verdict: str) -> None:
    if verdict == Verdict.OBJECT:
        if release.state in ENDS or release.approval_request_id is None:
            require_state(release, ())
        return
    allowed = IN_REVIEW if verdict == Verdict.APPROVE else PENDING
    if _phase(release, verdict) == Phase.OWED:
        allowed = OWING
    if release.state in PENDING:
        require_in_time(release)
    require_state(release, allowed)


def _decision_of(release: Release, decision_id: int) -> Decision:
    decision = Decision.objects.filter(pk=decision_id, request__subject=release.subject).first()
    if decision is None:
        raise NotFound
    return decision


def _tell(release: Release, decision: Decision, *, actor: Actor) -> None:
    publish(
        release.topic,
        f"decision.{decision.verdict}",
        {
            "by": actor.name,
            "for": decision.on_behalf_of.username if decision.on_behalf_of else None,
            "decision": decision.pk,
            "reason": decision.reason,
        },
    )
    if decision.verdict == Verdict.OBJECT:
        notices.tell_objection(release, decision)


def _follow(release: Release, outcome: operations.Outcome, *, actor: Actor, reason: str) -> bool:
    """Move the release where the decision leads; returns whether everybody was told thereby."""
    if outcome.decision.phase == Phase.OWED and outcome.phase_met:
        close_reviewed(release, actor=actor)
    elif outcome.changed and release.state in PENDING:
        _move(release, outcome.state, actor=actor, reason=reason)
        return True
    return False


def _move(release: Release, request_state: str, *, actor: Actor, reason: Text) -> None:
    state = STATE_AFTER[RequestState(request_state)]
    release.approved_at = clock.now() if state == ReleaseState.APPROVED else None
    move_release(release, state, actor=actor, reason=reason, fields=["approved_at"])
    notices.tell_settled(release, reason=reason)
