"""What follows from the states of the steps: what becomes ready, and when the rollout has reached an end."""

from collections.abc import Iterable
from datetime import timedelta

from portal import clock
from portal.actors import Actor
from releases.rollouts import durations, lifting, measuring, release_side, rollback, running
from releases.rollouts.course import Course
from releases.rollouts.events import move_rollout, move_step
from releases.rollouts.leases import halted
from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import DONE, MOVING, TROUBLED, Direction, RolloutState, StepState
from releases.rollouts.steps.kinds import KINDS
from releases.states import ReleaseState

UNDER_WAY = frozenset({ReleaseState.ROLLING_OUT, ReleaseState.VERIFYING, ReleaseState.SWITCHING})
GOING_FORWARD = frozenset({RolloutState.RUNNING, RolloutState.VERIFYING, RolloutState.SWITCHING})


def start(rollout: Rollout, *, actor: Actor) -> None:
    """Let a queued rollout run from now on."""
    rollout.started_at = clock.now()
    durations.begin(rollout)
    move_rollout(rollout, RolloutState.RUNNING, actor=actor, fields=["started_at"])


def make_ready(course: Course, *, actor: Actor) -> None:
    """Make every waiting step ready whose predecessors are all done; called with the rollout locked.

    Those that only look begin at once, in the same transaction.
    """
    found = course.free()
    begun = begin_looks(course, found, actor=actor)
    for step in found:
        if step not in begun:
            move_step(step, StepState.READY, actor=actor)


def begin_looks(course: Course, steps: Iterable[Step], *, actor: Actor) -> list[Step]:
    """Begin those of the steps that only look, and return them; none while a halt waits to be honoured."""
    looks = [step for step in steps if only_looks(step)]
    if not looks or course.rollout.state not in MOVING or halted(course.lease):
        return []
    for step in looks:
        begin(course.rollout, step, actor=actor)
    return looks


def only_looks(step: Step) -> bool:
    """Whether nothing is left to be done by a step but to look: it never acts, or its act stands."""
    return not KINDS[step.kind].acts or step.acted is not None


def begin(rollout: Rollout, step: Step, *, actor: Actor, fields: Iterable[str] = ()) -> None:
    """Let a step run from now on; the first one after the waves begins the verification.

    Args:
        fields: others of the step that changed with it.
    """
    step.started_at = clock.now()
    step.deadline_at = step.started_at + timedelta(seconds=step.timeout_seconds)
    step.tries, step.wake_at = 0, None
    changed = ["started_at", "deadline_at", "tries", "wake_at", *fields]
    move_step(step, StepState.RUNNING, actor=actor, fields=changed)
    if step.params.get("section") == "after":
        _verify(rollout, actor=actor)


def _verify(rollout: Rollout, *, actor: Actor) -> None:
    if rollout.state == RolloutState.RUNNING:
        release_side.follow(rollout.release, ReleaseState.VERIFYING, actor=actor)
        move_rollout(rollout, RolloutState.VERIFYING, actor=actor)


def settle(course: Course, *, actor: Actor) -> bool:
    """End the rollout when its steps say so; True where its state has changed by it."""
    if course.unfinished:
        return False
    with course.writing() as rollout:
        if course.way == Direction.BACK or rollout.state == RolloutState.ROLLING_BACK:
            return _settle_back(rollout, course.present, actor=actor)
        states = {each.state for each in course.present if not each.is_warning}
        return _settle_forward(course, states, actor=actor)


def _settle_forward(course: Course, states: set[str], *, actor: Actor) -> bool:
    rollout = course.rollout
    if rollout.state not in GOING_FORWARD:
        return False
    if states <= DONE:
        _succeed(rollout, actor=actor)
        return True
    if StepState.FAILED in states:
        release_side.follow(rollout.release, ReleaseState.FAILED, actor=actor)
        move_rollout(rollout, RolloutState.FAILED, actor=actor)
        return True
    if states & TROUBLED:
        rollout.pause = lifting.pause_of({"reason": "errored"}, step=None, actor=actor)
        release_side.follow(rollout.release, ReleaseState.PAUSED, actor=actor)
        move_rollout(
            rollout, RolloutState.PAUSED, actor=actor, fields=["pause"], data={"pause": rollout.pause}
        )
        return True
    if all(each.is_settled or each.is_after_signoff for each in course.present):
        return _await_signoff(course, actor=actor)
    return False


def _succeed(rollout: Rollout, *, actor: Actor) -> None:
    # Every step after the waves may have been skipped before it began.
    _verify(rollout, actor=actor)
    rollout.ended_at = clock.now()
    if rollout.release.state not in UNDER_WAY:
        # It had succeeded before, and only a clean-up was tried again.
        move_rollout(rollout, RolloutState.SUCCEEDED, actor=actor, fields=["ended_at"])
        return
    running.expect_release(rollout)
    release_side.succeeded(rollout.release, actor=actor)
    measuring.begin(rollout)
    move_rollout(rollout, RolloutState.SUCCEEDED, actor=actor, fields=["ended_at"])


def _await_signoff(course: Course, *, actor: Actor) -> bool:
    """All before the sign-off is done; where nobody is to give one, go on at once."""
    rollout = course.rollout
    if rollout.state == RolloutState.SWITCHING:
        return False
    _verify(rollout, actor=actor)
    release_side.verified(rollout.release, actor=actor)
    if rollout.release.state == ReleaseState.SWITCHING:
        switch(course, actor=actor)
        return True
    measuring.begin(rollout)
    move_rollout(rollout, RolloutState.AWAITING_SIGNOFF, actor=actor)
    return True


def switch(course: Course, *, actor: Actor) -> None:
    """Begin the part after the sign-off; its release says already that it switches."""
    move_rollout(course.rollout, RolloutState.SWITCHING, actor=actor)
    make_ready(course, actor=actor)


def _settle_back(rollout: Rollout, steps: list[Step], *, actor: Actor) -> bool:
    if rollout.state != RolloutState.ROLLING_BACK:
        return False
    back = [each for each in steps if each.direction == Direction.BACK]
    if any(each.state in TROUBLED for each in back):
        fail_back(rollout, actor=actor)
        return True
    if any(each.state not in DONE for each in back):
        return False
    rollback.pin_services(rollout, back, actor=actor)
    running.expect_recorded(rollout)
    release_side.follow(rollout.release, ReleaseState.ROLLED_BACK, actor=actor)
    rollout.ended_at = clock.now()
    move_rollout(rollout, RolloutState.ROLLED_BACK, actor=actor, fields=["ended_at"])
    return True


def fail_back(rollout: Rollout, *, actor: Actor) -> None:
    """The way back met trouble."""
    release_side.follow(rollout.release, ReleaseState.FAILED, actor=actor, reason="rollback_failed")
    move_rollout(rollout, RolloutState.ROLLBACK_FAILED, actor=actor)
