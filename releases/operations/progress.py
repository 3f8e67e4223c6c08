"""How the engine moves a release along with its rollout."""

from django.utils.translation import gettext as _

from portal.actors import Actor
from releases import notices
from releases.models import CheckPhase, Release
from releases.operations.ends import announce, owe_review, owes_review
from releases.operations.moving import move_release
from releases.start import missing_checks
from releases.states import ReleaseState


def follow(release: Release, state: str, *, actor: Actor, reason: str = "") -> Release:
    """Move the release to a state of its rollout; being there already is fine.

    Called in the engine's transaction; the row is locked here. An emergency that was rolled back still owes
    its review: it went out before anybody approved it, whatever came of it.

    Raises:
        Conflict: the life of a release does not allow the move.
    """
    locked = _lock(release)
    if locked.state == state:
        return locked
    move_release(locked, state, actor=actor, reason=reason)
    if state in {ReleaseState.FAILED, ReleaseState.PAUSED, ReleaseState.ROLLED_BACK}:
        notices.tell_trouble(locked, reason=reason)
    if state == ReleaseState.ROLLED_BACK and owes_review(locked):
        owe_review(locked, actor=actor, reason=str(_("It was rolled back.")))
    elif state == ReleaseState.FAILED and owes_review(locked):
        notices.tell_review_owed(locked)
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
        owe_review(locked, actor=actor, reason=reason)
    elif "signoff" in phases or missing_checks(locked, CheckPhase.DURING):
        move_release(locked, ReleaseState.AWAITING_SIGNOFF, actor=actor, reason=reason)
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
