"""What the engine asks of the release and what it tells it, in one place."""

from portal.actors import Actor
from portal.errors import Missing
from portal.transitions import can_move
from releases import openings, operations, start
from releases.models import Release
from releases.rollouts.models import Rollout
from releases.states import ReleaseState


def follow(release: Release, state: str, *, actor: Actor, reason: str = "") -> None:
    """Let the locked release follow its rollout; where its life does not lead there, it stays."""
    if release.state == state or not can_move(release, state):
        return
    release.state = operations.follow(release, state, actor=actor, reason=reason).state


def succeeded(release: Release, *, actor: Actor) -> None:
    """Hand a verified release over to what comes next: sign-off, owed review or announcement."""
    release.state = operations.finish_verification(release, actor=actor).state


def verified(release: Release, *, actor: Actor) -> None:
    """Let a verified release wait for its sign-off before the switch; where nobody signs, it switches."""
    release.state = operations.finish_before_switch(release, actor=actor).state


def begin_switch(release: Release, *, actor: Actor) -> bool:
    """Let the locked release switch where its result is signed off and nothing else is missing."""
    release.state = operations.begin_switch(release, actor=actor).state
    return release.state == ReleaseState.SWITCHING


def missing_for(release: Release, *, after_signoff: bool = False) -> list[Missing]:
    """Return what stands against going on now: approvals that no longer count, content that changed.

    As facts that a row can keep; `releases.wording.against` says them.

    Args:
        after_signoff: it has come past the sign-off, which must still count as well.
    """
    found = start.against(release)
    return [*found, *operations.against_switch(release)] if after_signoff else found


def closed_for(release: Release, *, actor: Actor) -> list[Missing]:
    """Return which freezes and windows forbid to begin or go on now.

    An emergency goes past, and the freeze keeps why; a way back asks nobody.
    """
    openings.note_passage(release, actor=actor)
    return openings.missing_for(release)


def owed_for(rollout: Rollout) -> list[Missing]:
    """Return which overdue reviews hold it as they hold a start; nothing any more once a step has acted."""
    if rollout.steps.exclude(acted_at=None).exists():
        return []
    return start.missing_reviews(rollout.release)
