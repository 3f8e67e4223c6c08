"""What follows from the states of the steps: what becomes ready, and when the rollout has reached an end."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.db.models import Exists, OuterRef

from portal import clock
from portal.actors import Actor
from releases.rollouts import release_side, rollback, running
from releases.rollouts.events import move_rollout, move_step
from releases.rollouts.leases import Lease, halted, writing
from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import DONE, MOVING, TROUBLED, Direction, RolloutState, StepState
from releases.rollouts.steps.kinds import KINDS
from releases.states import ReleaseState

GOING_FORWARD = frozenset({RolloutState.RUNNING, RolloutState.VERIFYING})
UNFINISHED = frozenset({StepState.READY, StepState.RUNNING})


def direction(steps: Sequence[Step]) -> Direction:
    """Return where the rollout goes: back as soon as there are steps of a way back."""
    return Direction.BACK if any(each.direction == Direction.BACK for each in steps) else Direction.FORWARD


def make_ready(rollout: Rollout, *, actor: Actor) -> None:
    """Make every waiting step ready whose predecessors are all done; called with the rollout locked.

    Those that only look begin at once, in the same transaction.
    """
    back = rollout.steps.filter(direction=Direction.BACK).exists()
    undone = Step.objects.filter(dependents=OuterRef("pk")).exclude(state__in=DONE)
    waiting = rollout.steps.filter(
        direction=Direction.BACK if back else Direction.FORWARD, state=StepState.WAITING
    )
    found = list(waiting.exclude(Exists(undone)).select_related("service").order_by("position"))
    for step in found:
        move_step(step, StepState.READY, actor=actor)
    begin_looks(rollout, found, actor=actor)


def begin_looks(rollout: Rollout, steps: Iterable[Step], *, actor: Actor) -> bool:
    """Begin those of the ready steps that only look; none while a halt waits to be honoured."""
    looks = [step for step in steps if not KINDS[step.kind].acts]
    if not looks or rollout.state not in MOVING or halted(rollout):
        return False
    for step in looks:
        begin(rollout, step, actor=actor)
    return True


def begin(rollout: Rollout, step: Step, *, actor: Actor) -> None:
    """Let a ready step run from now on; the first one after the waves begins the verification."""
    step.started_at = clock.now()
    step.deadline_at = step.started_at + timedelta(seconds=step.timeout_seconds)
    step.tries, step.wake_at = 0, None
    fields = ["started_at", "deadline_at", "tries", "wake_at"]
    move_step(step, StepState.RUNNING, actor=actor, fields=fields)
    if step.params.get("section") == "after":
        _verify(rollout, actor=actor)


def _verify(rollout: Rollout, *, actor: Actor) -> None:
    if rollout.state == RolloutState.RUNNING:
        release_side.follow(rollout.release, ReleaseState.VERIFYING, actor=actor)
        move_rollout(rollout, RolloutState.VERIFYING, actor=actor)


def settle(lease: Lease, steps: Sequence[Step], *, actor: Actor) -> bool:
    """End the rollout when its steps say so; `steps` may be old, so all is read again under lock."""
    present_way = direction(steps)
    if any(each.state in UNFINISHED for each in steps if each.direction == present_way):
        return False
    with writing(lease) as rollout:
        present = list(rollout.steps.select_related("service", "rollout"))
        way = direction(present)
        states = {each.state for each in present if each.direction == way}
        if states & UNFINISHED:
            return False
        if way == Direction.BACK or rollout.state == RolloutState.ROLLING_BACK:
            return _settle_back(rollout, present, actor=actor)
        return _settle_forward(rollout, states, actor=actor)


def _settle_forward(rollout: Rollout, states: set[str], *, actor: Actor) -> bool:
    if rollout.state not in GOING_FORWARD:
        return False
    if states <= DONE:
        # Every step after the waves may have been skipped before it began.
        _verify(rollout, actor=actor)
        running.expect_release(rollout)
        release_side.succeeded(rollout.release, actor=actor)
        rollout.ended_at = clock.now()
        move_rollout(rollout, RolloutState.SUCCEEDED, actor=actor, fields=["ended_at"])
        return True
    if StepState.FAILED in states:
        release_side.follow(rollout.release, ReleaseState.FAILED, actor=actor)
        move_rollout(rollout, RolloutState.FAILED, actor=actor)
        return True
    if states & TROUBLED:
        rollout.pause = {"reason": "errored", "by": actor.name, "lift": ["operate"], "args": {}}
        release_side.follow(rollout.release, ReleaseState.PAUSED, actor=actor)
        move_rollout(
            rollout, RolloutState.PAUSED, actor=actor, fields=["pause"], data={"pause": rollout.pause}
        )
        return True
    return False


def _settle_back(rollout: Rollout, steps: Sequence[Step], *, actor: Actor) -> bool:
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
