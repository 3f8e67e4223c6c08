"""Every change of a rollout or step: the move, its audit entry, and its numbered event in one transaction."""

from collections.abc import Iterable
from typing import Any

from portal import clock
from portal.actors import Actor
from portal.live.publish import publish
from portal.transitions import move
from releases.rollouts import counts, durations
from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import WENT_WRONG, RolloutState, StepState

# What an event is called where that is not the state's own name (interface.md, "Orders answer 202").
ROLLOUT_EVENTS = {RolloutState.RUNNING: "started"}
STEP_EVENTS = {StepState.RUNNING: "started"}


def move_rollout(
    rollout: Rollout,
    state: str,
    *,
    actor: Actor,
    reason: str = "",
    fields: Iterable[str] = (),
    event: str = "",
    data: dict[str, Any] | None = None,
) -> None:
    """Change a rollout's state and tell its stream; what it paused for ends with the pause."""
    before = rollout.state
    fields = [*fields, *durations.count(rollout, state)]
    if before == RolloutState.PAUSED:
        rollout.pause = None
        fields = [*fields, "pause"]
    if state in WENT_WRONG and rollout.failed_at is None:
        rollout.failed_at = clock.now()
        fields = [*fields, "failed_at"]
    move(
        rollout,
        state,
        actor=actor,
        reason=reason,
        fields=fields,
        data=data,
        release=rollout.release_id,
        content_digest=rollout.content_digest,
    )
    name = event or ROLLOUT_EVENTS.get(RolloutState(state), str(state))
    told = {"from": before, "state": str(state), "reason": reason, **by(actor), **(data or {})}
    publish(rollout.topic, f"rollout.{name}", told)


def by(actor: Actor) -> dict[str, str]:
    """Who did it, as an event keeps it: the account, and what people call it."""
    return {"by": actor.name, "called": actor.called}


def move_step(
    step: Step,
    state: str,
    *,
    actor: Actor,
    reason: str = "",
    fields: Iterable[str] = (),
    data: dict[str, Any] | None = None,
) -> None:
    """Change a step's state, count what it came to, and tell its rollout's stream."""
    service = step.service.name if step.service else ""
    move(
        step,
        state,
        actor=actor,
        reason=reason,
        fields=fields,
        data={"key": step.key, **(data or {})},
        release=step.rollout.release_id,
        service=service,
    )
    counts.count_result(step)
    tell_step(step, STEP_EVENTS.get(StepState(state), str(state)), **(data or {}))


def tell_step(step: Step, name: str, **data: Any) -> None:
    """Write an event about a step whose state stays as it is."""
    facts = {
        "step": step.pk,
        "key": step.key,
        "kind": step.kind,
        "service": step.service.name if step.service else None,
        "wave": step.wave,
        "direction": step.direction,
        "state": step.state,
        "attempt": step.attempt,
        **({"title": step.params["title"]} if step.params.get("title") else {}),
    }
    publish(f"rollout.{step.rollout_id}", f"step.{name}", {**facts, **data})
