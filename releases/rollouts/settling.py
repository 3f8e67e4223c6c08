"""What follows from the states of the steps: what becomes ready, and when the rollout has reached an end."""

from collections.abc import Sequence

from portal import clock
from portal.actors import Actor
from releases.rollouts import release_side, rollback, running
from releases.rollouts.events import move_rollout, move_step
from releases.rollouts.leases import Lease, writing
from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import DONE, TROUBLED, Direction, RolloutState, StepState
from releases.states import ReleaseState

GOING_FORWARD = frozenset({RolloutState.RUNNING, RolloutState.VERIFYING})
UNFINISHED = frozenset({StepState.READY, StepState.RUNNING})


def direction(steps: Sequence[Step]) -> Direction:
    """Return where the rollout goes: back as soon as there are steps of a way back."""
    return Direction.BACK if any(each.direction == Direction.BACK for each in steps) else Direction.FORWARD


def make_ready(rollout: Rollout, *, actor: Actor) -> None:
    """Make every waiting step ready whose predecessors are all done; called with the rollout locked."""
    open_states = [state for state in StepState if state not in DONE]
    steps = list(rollout.steps.select_related("service", "rollout").order_by("position"))
    waiting = [
        each for each in steps if each.direction == direction(steps) and each.state == StepState.WAITING
    ]
    blocked = set(
        Step.objects.filter(rollout=rollout, depends_on__state__in=open_states).values_list("pk", flat=True)
    )
    for step in waiting:
        if step.pk not in blocked:
            move_step(step, StepState.READY, actor=actor)


def enter_section(rollout: Rollout, step: Step, *, actor: Actor) -> None:
    """When the first step after the waves begins, the rollout verifies."""
    if step.params.get("section") == "after":
        _verify(rollout, actor=actor)


def _verify(rollout: Rollout, *, actor: Actor) -> None:
    if rollout.state == RolloutState.RUNNING:
        release_side.follow(rollout.release, ReleaseState.VERIFYING, actor=actor)
        move_rollout(rollout, RolloutState.VERIFYING, actor=actor)


def settle(lease: Lease, steps: Sequence[Step], *, actor: Actor) -> bool:
    """End the rollout when its steps say so; `steps` may be old, so all is read again under lock."""
    if any(each.state in UNFINISHED for each in steps if each.direction == direction(steps)):
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
