"""A rollback without a person: what a plan lets follow from a step that was measured bad.

Only a measured breach rolls back by itself; what could not be measured, and an act that was refused, hold and
ask (product.md, "What a rollout can do").
"""

from collections.abc import Iterable

from django.utils.translation import gettext as _

from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.live.publish import publish
from releases.catalog.models import Plan
from releases.rollouts import rollback, texts
from releases.rollouts.course import Course
from releases.rollouts.events import by
from releases.rollouts.leases import halted
from releases.rollouts.models import Order, Rollout, Step
from releases.rollouts.states import MOVING, OrderKind, RolloutState, StepState
from releases.rollouts.steps.kind import Json
from releases.rollouts.steps.kinds import KINDS
from releases.rollouts.wordings import BY_ITSELF, HALT

ON_FAILURE, ROLLBACK = "onFailure", "rollback"
# Under this name a failure keeps what held its rollout when it would have gone back by itself.
HELD_BY = "held_by"
# What an act finds to be bad before it is made; all else that keeps it from being made says nothing of that.
FOUND_BAD = frozenset({"no_ready_pods", "canary_degraded"})


def rolls_back(plan: Plan | None) -> bool:
    """Whether a plan lets a measured failure roll back by itself; else it holds and asks."""
    return plan is not None and plan.spec.get(ON_FAILURE) == ROLLBACK


def was_measured(step: Step) -> bool:
    """Whether a step that failed has looked at something and found it bad, rather than not been let act."""
    kind = KINDS.get(step.kind)  # none where a newer version of the portal wrote the row
    looked = kind is not None and (not kind.acts or step.acted is not None)
    return looked or (step.failure or {}).get("code") in FOUND_BAD


def goes_back(course: Course, step: Step) -> bool:
    """Whether a locked rollout is to go back by itself from a step that has just failed, by its plan.

    It is not where nothing was measured, and where nothing was changed yet.
    """
    measured = rolls_back(course.rollout.release.plan) and was_measured(step)
    return measured and bool(rollback.touched(course.steps))


def held_by(course: Course) -> Json | None:
    """What keeps a locked rollout from going back by itself: its pause, or a halt that somebody asked for."""
    rollout = course.rollout
    if rollout.state not in MOVING:  # a paused one is in somebody's hands
        return rollout.pause or {"reason": HALT}
    return {"reason": HALT} if halted(course.lease) else None


def order_rollback(rollout: Rollout, step: Step, *, actor: Actor) -> None:
    """Order the rollback of a locked rollout that a failed step has just ended."""
    order = Order.objects.create(
        rollout=rollout,
        kind=OrderKind.ROLLBACK,
        step=step,
        door=actor.door,
        reason=BY_ITSELF,
        trace=rollout.trace,
        asked_at=clock.now(),
    )
    rollout.nudges += 1
    rollout.save(update_fields=["nudges"])
    data = {"order": order.pk, "kind": order.kind, "step": step.pk}
    subject = ("order", str(order.pk))
    release = rollout.release_id
    record("order.asked", actor=actor, subject=subject, after=data, reason=BY_ITSELF, release=release)
    publish(rollout.topic, "rollout.order_asked", {**data, **by(actor), "reason": BY_ITSELF})


def stands_because(rollout: Rollout, troubles: Iterable[Step]) -> str:
    """Why a rollout stands failed though its plan rolls back by itself; "" where that needs no word."""
    troubles = list(troubles)
    held = [step.failure[HELD_BY] for step in troubles if step.failure and HELD_BY in step.failure]
    if rollout.state == RolloutState.FAILED and held:
        return texts.held(held[0])
    refused = [step for step in troubles if step.state == StepState.FAILED and not was_measured(step)]
    if rollout.state != RolloutState.FAILED or not refused or not rolls_back(rollout.release.plan):
        return ""
    return _(
        "The plan rolls back by itself what was measured bad. Here nothing was: a change could not be made. "
        "Decide what is to be done."
    )


def why(step: Step) -> str:
    """What failed, in the reader's language."""
    name = step.service.name if step.service else texts.step_title(step)
    return f"{name}: {texts.failure(step.failure or {})}"


def cause_of(rollout: Rollout) -> str:
    """Why the rollout went back without a person; "" where it did not."""
    own = rollout.orders.filter(kind=OrderKind.ROLLBACK, by=None, step__isnull=False)
    order = own.select_related("step__service").order_by("-pk").first()
    return why(order.step) if order is not None and order.step is not None else ""
