"""What people ask of a rollout, honoured by the engine under its lease, then reported."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet

from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.live.publish import publish
from releases.rollouts import outcomes, release_side, rollback, settling
from releases.rollouts.events import move_rollout, move_step
from releases.rollouts.leases import Lease, writing
from releases.rollouts.models import Order, Rollout, Step
from releases.rollouts.states import MOVING, TROUBLED, Direction, OrderKind, RolloutState, StepState
from releases.states import ReleaseState

HONOURED = "honoured"
REFUSED = "refused"
R = RolloutState
# From which states an order can be honoured; asked again at the moment of honouring.
POSSIBLE: dict[str, frozenset[str]] = {
    OrderKind.PAUSE: frozenset({R.QUEUED, R.RUNNING, R.VERIFYING, R.ROLLING_BACK}),
    OrderKind.RESUME: frozenset({R.PAUSED}),
    OrderKind.STOP: frozenset(
        {R.QUEUED, R.RUNNING, R.VERIFYING, R.PAUSED, R.FAILED, R.STOPPING, R.ROLLING_BACK}
    ),
    OrderKind.ROLLBACK: frozenset(
        {
            R.QUEUED,
            R.RUNNING,
            R.VERIFYING,
            R.PAUSED,
            R.FAILED,
            R.STOPPING,
            R.STOPPED,
            R.SUCCEEDED,
            R.ROLLBACK_FAILED,
        }
    ),
    OrderKind.RETRY: frozenset({R.FAILED, R.PAUSED, R.ROLLBACK_FAILED}),
    OrderKind.SKIP: frozenset({R.RUNNING, R.VERIFYING, R.FAILED, R.PAUSED, R.ROLLBACK_FAILED}),
}
SKIPPABLE = TROUBLED | {StepState.WAITING, StepState.READY, StepState.RUNNING, StepState.CANCELLED}


def honour(lease: Lease, *, actor: Actor) -> None:
    """Carry out every order that waits, the oldest first."""
    for pk in list(_open(lease.rollout_id).values_list("pk", flat=True)):
        with writing(lease) as rollout:
            order = _open(rollout.pk).select_related("by").filter(pk=pk).first()
            if order is not None:
                _honour(rollout, order, actor=actor)


def _open(rollout_id: int) -> QuerySet[Order]:
    return Order.objects.filter(rollout=rollout_id, honoured_at=None).order_by("pk")


def _honour(rollout: Rollout, order: Order, *, actor: Actor) -> None:
    cause = Actor(user=order.by, door=order.door, cause=f"order {order.pk}") if order.by else actor
    refusal = "" if rollout.state in POSSIBLE[order.kind] else "wrong_state"
    refusal = refusal or HONOURS[OrderKind(order.kind)](rollout, order, cause)
    order.honoured_at = clock.now()
    order.outcome = f"{REFUSED}: {refusal}" if refusal else HONOURED
    order.save(update_fields=["honoured_at", "outcome"])
    name = "refused" if refusal else "honoured"
    data = {"order": order.pk, "kind": order.kind, "outcome": order.outcome}
    subject = ("order", str(order.pk))
    release = rollout.release_id
    record(f"order.{name}", actor=cause, subject=subject, after=data, reason=order.reason, release=release)
    publish(rollout.topic, f"rollout.order_{name}", {**data, "by": cause.name, "step": order.step_id})


def _pause(rollout: Rollout, order: Order, actor: Actor) -> str:
    if rollout.state == R.QUEUED:
        rollout.started_at = clock.now()
        move_rollout(rollout, R.RUNNING, actor=actor, fields=["started_at"])
        settling.make_ready(rollout, actor=actor)
    reason = {"reason": "person", "args": {"text": order.reason}}
    outcomes.pause_rollout(rollout, None, reason, actor=actor)
    return ""


def _resume(rollout: Rollout, order: Order, actor: Actor) -> str:  # noqa: ARG001  all share a form
    missing = [] if _way(rollout) == Direction.BACK else release_side.missing_for(rollout.release)
    if missing:
        return "not_approved"
    pause = rollout.pause or {}
    _accept_drift(rollout, pause)
    for step in _steps(rollout).filter(state=StepState.RUNNING):
        # The clock starts anew: the time out of reach, or in the pause, was not the step's.
        step.deadline_at = clock.now() + timedelta(seconds=step.timeout_seconds)
        step.observed = {key: value for key, value in step.observed.items() if key != "lost_since"}
        step.tries, step.wake_at = 0, None
        step.save(update_fields=["deadline_at", "observed", "tries", "wake_at"])
    _go_on(rollout, actor=actor)
    for step in _steps(rollout).filter(state__in=[StepState.ERRORED, StepState.INCONCLUSIVE]):
        _again(step, actor=actor)
    settling.make_ready(rollout, actor=actor)
    return ""


def _stop(rollout: Rollout, order: Order, actor: Actor) -> str:
    if rollout.state == R.ROLLING_BACK:
        # Half a way back is no place to end: it pauses, and goes on when someone says so.
        reason = {"reason": "stop", "args": {"text": order.reason}}
        outcomes.pause_rollout(rollout, None, reason, actor=actor)
        return ""
    if _way(rollout) == Direction.BACK:
        return "wrong_state"
    if rollout.state != R.STOPPING:
        move_rollout(rollout, R.STOPPING, actor=actor, reason=order.reason)
    outcomes.end_siblings(rollout, None, actor=actor)
    release_side.follow(rollout.release, ReleaseState.FAILED, actor=actor, reason="stopped")
    rollout.ended_at, rollout.pause = clock.now(), None
    move_rollout(rollout, R.STOPPED, actor=actor, reason=order.reason, fields=["ended_at", "pause"])
    return ""


def _rollback(rollout: Rollout, order: Order, actor: Actor) -> str:
    steps = list(_steps(rollout))
    if rollout.state == R.ROLLBACK_FAILED or _way(rollout) == Direction.BACK:
        return _rollback_again(rollout, steps, actor)
    outcomes.end_siblings(rollout, None, actor=actor)
    release_side.follow(rollout.release, ReleaseState.ROLLING_BACK, actor=actor, reason=order.reason)
    rollout.ended_at, rollout.pause = None, None
    move_rollout(rollout, R.ROLLING_BACK, actor=actor, reason=order.reason, fields=["ended_at", "pause"])
    rollback.add_way_back(rollout, steps)
    settling.make_ready(rollout, actor=actor)
    return ""


def _rollback_again(rollout: Rollout, steps: list[Step], actor: Actor) -> str:
    release_side.follow(rollout.release, ReleaseState.ROLLING_BACK, actor=actor)
    rollout.pause = None
    move_rollout(rollout, R.ROLLING_BACK, actor=actor, fields=["pause"])
    for step in steps:
        if step.direction == Direction.BACK and step.state in TROUBLED:
            _again(step, actor=actor)
    _revive(rollout, actor=actor)
    return ""


def _retry(rollout: Rollout, order: Order, actor: Actor) -> str:
    step = _step_of(rollout, order)
    if step is None or step.state not in TROUBLED | {StepState.CANCELLED}:
        return "wrong_state"
    if _way(rollout) == Direction.FORWARD and release_side.missing_for(rollout.release):
        return "not_approved"
    _go_on(rollout, actor=actor)
    _again(step, actor=actor)
    _revive(rollout, actor=actor)
    return ""


def _skip(rollout: Rollout, order: Order, actor: Actor) -> str:
    step = _step_of(rollout, order)
    if step is None or step.state not in SKIPPABLE:
        return "wrong_state"
    was_troubled = step.state in TROUBLED
    step.reason, step.ended_at, step.wake_at = order.reason, clock.now(), None
    fields = ["reason", "ended_at", "wake_at"]
    move_step(step, StepState.SKIPPED, actor=actor, reason=order.reason, fields=fields)
    if was_troubled:
        _go_on(rollout, actor=actor)
        _revive(rollout, actor=actor)
    elif rollout.state in MOVING:
        settling.make_ready(rollout, actor=actor)
    return ""


def _go_on(rollout: Rollout, *, actor: Actor) -> None:
    """From a pause or a failure back to moving, in the direction and section where it stood."""
    if rollout.state in MOVING:
        return
    event = "resumed"
    rollout.pause, rollout.ended_at = None, None
    fields = ["pause", "ended_at"]
    if _way(rollout) == Direction.BACK:
        release_side.follow(rollout.release, ReleaseState.ROLLING_BACK, actor=actor)
        move_rollout(rollout, R.ROLLING_BACK, actor=actor, fields=fields, event=event)
        return
    begun = [StepState.WAITING, StepState.READY]
    verifying = rollout.steps.filter(params__section="after").exclude(state__in=begun).exists()
    release_state = ReleaseState.VERIFYING if verifying else ReleaseState.ROLLING_OUT
    release_side.follow(rollout.release, release_state, actor=actor)
    move_rollout(rollout, R.VERIFYING if verifying else R.RUNNING, actor=actor, fields=fields, event=event)


def _again(step: Step, *, actor: Actor) -> None:
    """Make a new attempt of a step; the old one is kept."""
    attempt = {
        "attempt": step.attempt,
        "state": step.state,
        "failure": step.failure,
        "observed": step.observed,
        "started_at": step.started_at,
        "ended_at": step.ended_at,
    }
    step.history = [*step.history, attempt]
    step.attempt += 1
    step.failure, step.observed, step.acted, step.ended_at, step.wake_at = None, {}, None, None, None
    step.tries = 0
    fields = ["history", "attempt", "failure", "observed", "acted", "ended_at", "wake_at", "tries"]
    move_step(step, StepState.READY, actor=actor, fields=fields)


def _revive(rollout: Rollout, *, actor: Actor) -> None:
    """What ended because a sibling failed goes on where it stood."""
    way = _way(rollout)
    for step in _steps(rollout).filter(state=StepState.CANCELLED, direction=way):
        step.ended_at = None
        move_step(step, StepState.WAITING, actor=actor, fields=["ended_at"])
    settling.make_ready(rollout, actor=actor)


def _accept_drift(rollout: Rollout, pause: dict[str, Any]) -> None:
    """Who resumes after a foreign change has seen it, and lets it pass."""
    step = _steps(rollout).filter(pk=pause.get("step") or 0).first()
    if pause.get("reason") != "drift" or step is None:
        return
    accepted = [*(step.params.get("accepted_drifts") or []), pause.get("args")]
    step.params = {**step.params, "accepted_drifts": accepted}
    step.save(update_fields=["params"])


def _way(rollout: Rollout) -> Direction:
    back = rollout.state == R.ROLLING_BACK or rollout.steps.filter(direction=Direction.BACK).exists()
    return Direction.BACK if back else Direction.FORWARD


def _steps(rollout: Rollout) -> QuerySet[Step]:
    return rollout.steps.select_related("service", "rollout").order_by("position", "id")


def _step_of(rollout: Rollout, order: Order) -> Step | None:
    return _steps(rollout).filter(pk=order.step_id or 0, direction=_way(rollout)).first()


HONOURS: dict[OrderKind, Callable[[Rollout, Order, Actor], str]] = {
    OrderKind.PAUSE: _pause,
    OrderKind.RESUME: _resume,
    OrderKind.STOP: _stop,
    OrderKind.ROLLBACK: _rollback,
    OrderKind.RETRY: _retry,
    OrderKind.SKIP: _skip,
}
