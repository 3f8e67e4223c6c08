"""While the result of a rollout is to be signed off: it goes on with the sign-off, or back with a no."""

from portal.actors import Actor
from releases import operations
from releases.rollouts import orders, release_side, settling
from releases.rollouts.course import Course
from releases.states import ReleaseState


def heed(course: Course, *, actor: Actor) -> bool:
    """Go on once the sign-off counts and nothing else is missing, back where it was rejected; True if either.

    The rows are asked under lock, so that a lost nudge costs time and a sign-off taken back begins nothing.
    """
    with course.writing(halts=True) as rollout:
        if rollout.release.state != ReleaseState.AWAITING_SIGNOFF:
            _go_back(course, actor=actor)
            return True
        if not release_side.begin_switch(rollout.release, actor=actor):
            return False
        settling.switch(course, actor=actor)
        return True


def _go_back(course: Course, *, actor: Actor) -> None:
    """The release has left the sign-off without its switch: somebody rejected the result."""
    verdict = operations.rejection_of(course.rollout.release)
    if verdict is None:
        orders.turn_back(course, actor=actor, reason="")
        return
    cause = Actor(user=verdict.person, door=verdict.door, cause=f"decision {verdict.pk}")
    orders.turn_back(course, actor=cause, reason=verdict.reason)
