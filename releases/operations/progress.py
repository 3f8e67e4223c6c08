"""How the engine moves a release along with its rollout."""

from approvals.models import Requirement
from approvals.states import Phase
from portal.actors import Actor
from portal.statements import Given, Question
from releases import notices, stations
from releases.models import CheckPhase, Release
from releases.operations.ends import announce, missing_after_result, owe_review, owes_review
from releases.operations.moving import move_release
from releases.start import missing_checks
from releases.states import ReleaseState

_LOCKED = Question(
    lambda: (
        Release.objects.select_for_update(of=("self",))
        .select_related("environment", "plan", "author", "approval_request__policy")
        .defer(
            "content",
            "environment__source",
            "plan__source",
            "author__password",
            "approval_request__policy__table",
        )
        .filter(pk=Given("number"))
    )
)
_ROWS = Question(lambda: Requirement.objects.only("phase").filter(request=Given("request")))


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
        owe_review(locked, actor=actor, reason=ReleaseState.ROLLED_BACK.value)
    elif state == ReleaseState.FAILED and owes_review(locked):
        notices.tell_review_owed(locked)
    return locked


def finish_verification(release: Release, *, actor: Actor, reason: str = "") -> Release:
    """What comes after a verified rollout: the owed review, the result's sign-off, or the announcement.

    Open checks hold the announcement where nobody signs off, too. What has switched was signed off before.
    """
    locked = _lock(release)
    phases = _phases(locked)
    if Phase.OWED in phases:
        owe_review(locked, actor=actor, reason=reason)
    elif locked.state != ReleaseState.SWITCHING and _is_awaited(locked, phases):
        await_signoff(locked, actor=actor, reason=reason)
    else:
        announce(locked, actor=actor, reason=reason)
    if stations.waits_for_qa(locked):
        notices.tell_qa_asked(locked)
    return locked


def finish_before_switch(release: Release, *, actor: Actor) -> Release:
    """What comes after the verification where a part of the rollout is left: the sign-off, else that part.

    An emergency goes on at once: it is reviewed after the fact.
    """
    locked = _lock(release)
    phases = _phases(locked)
    if Phase.OWED not in phases and _is_awaited(locked, phases):
        await_signoff(locked, actor=actor)
    else:
        move_release(locked, ReleaseState.SWITCHING, actor=actor)
    return locked


def begin_switch(release: Release, *, actor: Actor) -> Release:
    """Move a release to its switch once the sign-off counts and nothing else is missing; else leave it."""
    locked = _lock(release)
    if locked.state == ReleaseState.AWAITING_SIGNOFF and not missing_after_result(locked):
        move_release(locked, ReleaseState.SWITCHING, actor=actor)
    return locked


def await_signoff(release: Release, *, actor: Actor, reason: str = "") -> None:
    """Let a locked release wait for the sign-off of its result, and tell those who may give it."""
    move_release(release, ReleaseState.AWAITING_SIGNOFF, actor=actor, reason=reason)
    notices.tell_signoff_due(release)


def _phases(release: Release) -> set[str]:
    request = release.approval_request
    return {row.phase for row in _ROWS.ask(request=request.pk)} if request is not None else set()


def _is_awaited(release: Release, phases: set[str]) -> bool:
    return Phase.SIGNOFF in phases or bool(missing_checks(release, CheckPhase.DURING))


def _lock(release: Release) -> Release:
    (locked,) = _LOCKED.ask(number=release.pk)
    return locked
