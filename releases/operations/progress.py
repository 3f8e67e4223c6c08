"""How the engine moves a release along with its rollout."""

from portal.actors import Actor
from releases import notices
from releases.models import CheckPhase, Release
from releases.operations.ends import announce, move_to
from releases.start import missing_checks
from releases.states import ReleaseState


def follow(release: Release, state: str, *, actor: Actor, reason: str = "") -> Release:
    """Move the release to a state of its rollout; being there already is fine.

    Called in the engine's transaction; the row is locked here.

    Raises:
        Conflict: the life of a release does not allow the move.
    """
    locked = _lock(release)
    if locked.state == state:
        return locked
    move_to(locked, state, actor=actor, reason=reason)
    if state in {ReleaseState.FAILED, ReleaseState.PAUSED, ReleaseState.ROLLED_BACK}:
        notices.tell_trouble(locked, reason=reason)
    return locked


def finish_verification(release: Release, *, actor: Actor, reason: str = "") -> Release:
    """What comes after a verified rollout: the owed review, the result's sign-off, or the announcement.

    Open checks hold the announcement where nobody signs off, too.
    """
    locked = _lock(release)
    phases = set()
    if locked.approval_request is not None:
        phases = set(locked.approval_request.requirements.values_list("phase", flat=True))
    if "owed" in phases:
        move_to(locked, ReleaseState.REVIEW_OWED, actor=actor, reason=reason)
        notices.touch_deciders(locked)
    elif "signoff" in phases or missing_checks(locked, CheckPhase.DURING):
        move_to(locked, ReleaseState.AWAITING_SIGNOFF, actor=actor, reason=reason)
        notices.tell_signoff_due(locked)
    else:
        announce(locked, actor=actor, reason=reason)
    return locked


def _lock(release: Release) -> Release:
    return (
        Release.objects.select_for_update(of=("self",))
        .select_related("environment", "author", "approval_request")
        .get(pk=release.pk)
    )
