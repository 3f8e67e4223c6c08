"""Rounds of the engine that break off by a fault of our own: counted, and after some the step is parked.

A round breaks off when its job raises, or when its worker dies and the lease runs out. From the first time on
the rounds say beforehand what they are at, so that the last one tells what they break off at. What was
recorded meanwhile starts the count anew: only a round that never comes further is parked.
"""

import hashlib
from typing import Any

from portal.actors import Actor
from portal.errors import DATABASE_AWAY
from portal.jobs import Failure
from releases.rollouts import counts, leases, orders, outcomes, settling
from releases.rollouts.course import Course
from releases.rollouts.events import tell_step
from releases.rollouts.leases import Lease, writing
from releases.rollouts.models import Order, Rollout, Step
from releases.rollouts.states import RolloutState

MOST = 3
# Nobody tries again before; a fault that passes by itself has passed by then.
REST_SECONDS = 2.0
Json = dict[str, Any]


def after_failure(rollout_id: int, failure: Failure, *, actor: Actor) -> None:
    """Count a round of this process that raised, and let nobody try again for a moment.

    Raises:
        LeaseLost: another worker took over, and has counted it.
    """
    lease = leases.held_here(rollout_id)
    if lease is None:
        return
    # The database's troubles are not the step's.
    if not isinstance(failure.error, DATABASE_AWAY):
        _count(lease, outcomes.PORTAL_ERROR, {"incident": failure.incident}, actor=actor)
    with writing(lease) as rollout:
        leases.hold_off(rollout, seconds=REST_SECONDS)


def after_death(lease: Lease, *, actor: Actor) -> None:
    """Count the round whose holder never gave the lease back."""
    _count(lease, outcomes.WORKER_DIED, {}, actor=actor)
    counts.takeovers.inc()


def _count(lease: Lease, code: str, args: Json, *, actor: Actor) -> None:
    with writing(lease) as rollout:
        before = rollout.stumble or {}
        stood = _standing(rollout)
        count = before.get("count", 0) + 1 if before.get("stood") == stood else 1
        at = before.get("at", "")
        rollout.stumble = {"code": code, "count": count, "stood": stood, "at": at}
        rollout.save(update_fields=["stumble"])
        if count < MOST:
            _tell(_step_at(Course(lease), at), {**args, "count": count, "most": MOST})
            return
    with writing(lease):
        # What could not even be parked, because its own row is in disorder, is no longer touched.
        at = at if count == MOST else ""
        _park(Course(lease), at, {"code": code, "args": {**args, "count": count}}, actor=actor)


def _standing(rollout: Rollout) -> str:
    """What changes with everything that is recorded, save what was seen on the way."""
    steps = list(rollout.steps.order_by("pk").values_list("pk", "state", "attempt", "acted_at"))
    asked = rollout.orders.filter(honoured_at=None).count()
    return hashlib.sha256(repr((rollout.state, steps, asked)).encode()).hexdigest()


def _tell(step: Step | None, args: Json) -> None:
    if step is None:
        return
    step.observed = {**step.observed, "code": "stumbled", "args": args}
    step.save(update_fields=["observed"])
    tell_step(step, "observed", observed={"code": "stumbled", "args": args})


def _park(course: Course, at: str, failure: Json, *, actor: Actor) -> None:
    rollout = course.rollout
    rollout.stumble = None
    rollout.save(update_fields=["stumble"])
    order = _order_at(rollout, at)
    step = _step_at(course, at)
    if order is not None:
        told = f"{failure['code']} {failure['args'].get('incident', '')}".strip()
        orders.break_off(rollout, order, code=failure["code"], told=told, actor=actor)
    elif step is not None:
        outcomes.park(course, step, failure, actor=actor)
    else:
        if rollout.state == RolloutState.QUEUED:
            settling.start(rollout, actor=actor)
        reason = {"reason": failure["code"], "args": failure["args"]}
        outcomes.pause_rollout(rollout, None, reason, actor=actor)


def _step_at(course: Course, at: str) -> Step | None:
    return next((each for each in course.unfinished if at == f"step:{each.pk}"), None)


def _order_at(rollout: Rollout, at: str) -> Order | None:
    kind, _colon, pk = at.partition(":")
    return rollout.orders.filter(pk=pk, honoured_at=None).first() if kind == "order" else None
