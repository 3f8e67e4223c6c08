"""A rollback without a person: what a plan lets follow from a step that was measured bad.

Only a measured breach rolls back by itself; what could not be measured holds and asks (product.md, "What a
rollout can do").
"""

from django.utils.translation import gettext as _

from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.live.publish import publish
from releases.catalog.models import Plan
from releases.rollouts import rollback, texts
from releases.rollouts.course import Course
from releases.rollouts.leases import halted
from releases.rollouts.models import Order, Rollout, Step
from releases.rollouts.states import OrderKind

ON_FAILURE, ROLLBACK = "onFailure", "rollback"


def rolls_back(plan: Plan | None) -> bool:
    """Whether a plan lets a measured failure roll back by itself; else it holds and asks."""
    return plan is not None and plan.spec.get(ON_FAILURE) == ROLLBACK


def order_rollback(course: Course, step: Step, *, actor: Actor) -> None:
    """Order the rollback of a locked rollout that a failed step has just ended, where its plan says so.

    Nothing is ordered where nothing was changed yet, and where a person has asked for a halt meanwhile.
    """
    rollout = course.rollout
    if not rolls_back(rollout.release.plan) or not rollback.touched(course.steps) or halted(course.lease):
        return
    reason = _("The plan rolls back by itself: {failure}").format(failure=why(step))
    order = Order.objects.create(
        rollout=rollout,
        kind=OrderKind.ROLLBACK,
        step=step,
        door=actor.door,
        reason=reason,
        trace=rollout.trace,
        asked_at=clock.now(),
    )
    rollout.nudges += 1
    rollout.save(update_fields=["nudges"])
    data = {"order": order.pk, "kind": order.kind, "step": step.pk}
    subject = ("order", str(order.pk))
    record("order.asked", actor=actor, subject=subject, after=data, reason=reason, release=rollout.release_id)
    publish(rollout.topic, "rollout.order_asked", {**data, "by": actor.name, "reason": reason})


def why(step: Step) -> str:
    """What failed, in the reader's language."""
    name = step.service.name if step.service else texts.step_title(step)
    return f"{name}: {texts.failure(step.failure or {})}"


def cause_of(rollout: Rollout) -> str:
    """Why the rollout went back without a person; "" where it did not."""
    own = rollout.orders.filter(kind=OrderKind.ROLLBACK, by=None, step__isnull=False)
    order = own.select_related("step__service").order_by("-pk").first()
    return why(order.step) if order is not None and order.step is not None else ""
