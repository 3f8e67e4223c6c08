"""The superior's sign-off of the result, before the announcement (rules.md, "Verdicts")."""

from approvals import operations
from approvals.models import Decision
from approvals.states import Phase, Verdict
from portal.actors import Actor
from portal.live.publish import publish
from releases import notices
from releases.gates import missing_gates
from releases.models import Release
from releases.operations.locking import act, require_state
from releases.operations.moving import move_release
from releases.operations.waking import wake
from releases.queries import starters
from releases.start import refuse
from releases.states import ReleaseState


def sign_off_result(
    number: int, *, actor: Actor, verdict: str, reason: str = "", on_behalf_of: str | None = None
) -> Decision:
    """Record one sign-off; a rejection fails the release, from where it can be rolled back.

    Where a part of the rollout waits for it, the engine goes on with the last approval, and back with a
    rejection.

    Neither somebody barred nor who started the rollout counts. A breach of what is measured meanwhile turns
    the approval off until it is green again, or somebody says why it is ignored (product.md, "A release's
    life").

    Args:
        verdict: approve or reject; the latter needs a reason.
        on_behalf_of: for whom, by delegation; as `approvals.operations.record_decision` has it.

    Raises:
        NotFound, Invalid, Conflict, NotAllowed: with the codes and in the order of rules.md, "Codes"; last
            `gate_breached` with every breach that stands.
    """
    with act(number, actor=actor, refused="decision.refused") as release:
        operations.check_verdict(verdict, reason, phase=Phase.SIGNOFF)
        require_state(release, {ReleaseState.AWAITING_SIGNOFF})
        assert release.approval_request_id is not None
        outcome = operations.record_decision(
            release.approval_request_id,
            actor=actor,
            verdict=verdict,
            content_digest=release.content_digest,
            reason=reason,
            phase=Phase.SIGNOFF,
            on_behalf_of=on_behalf_of,
            also_barred=starters(release),
            filed_under=number,
        )
        if verdict == Verdict.APPROVE:
            # Last, so that who may not sign off hears that; what was written goes with the refusal.
            refuse(missing_gates(release))
        giver = outcome.decision.on_behalf_of
        data = {
            "by": actor.name,
            "for": giver.username if giver else None,
            "verdict": verdict,
            "met": outcome.phase_met,
        }
        publish(release.topic, "signoff.given", data)
        if verdict == Verdict.REJECT:
            move_release(release, ReleaseState.FAILED, actor=actor, reason=reason)
        notices.touch_deciders(release)
        wake(release)
        return outcome.decision


def rejection_of(release: Release) -> Decision | None:
    """The verdict by which the result was rejected, the newest."""
    refused = Decision.objects.filter(request=release.approval_request_id, phase=Phase.SIGNOFF)
    return refused.filter(verdict=Verdict.REJECT, revoked_at=None).select_related("person").last()
