"""A plan and a Rollout's own canary steps: which pause is whose, and what stands against the plan.

The Rollout says how far each step goes (setWeight) and where it stops (a pause without a duration); the plan
says what must be good before the next one: its n-th `promote` lifts the n-th pause.
"""

from portal.integrations.argo.rollouts import canary_of, is_current, stops_of
from portal.integrations.kubernetes.rollout_status import Progress
from portal.integrations.kubernetes.workloads import ROLLOUT, ROLLOUT_ANNOTATION, Workload
from releases.rollouts.models import Step
from releases.rollouts.states import Direction
from releases.rollouts.steps.kind import Json, Outcome, Work, failed, wait

PROMOTE = "promote"


def promotions(work: Work) -> list[Step]:
    """Return the steps that promote this workload on the way forward, in their order."""
    same = (work.step.service_id, work.step.params.get("workload"))
    return [
        each
        for each in work.siblings
        if each.kind == PROMOTE
        and each.direction == Direction.FORWARD
        and (each.service_id, each.params.get("workload")) == same
    ]


def stop_of(work: Work, seen: Workload, *, after: bool) -> int | None:
    """Return the index of the pause that this step lifts, or to which it leads; None where there is none.

    Args:
        after: the pause to which the step leads: the next one that a later step lifts.
    """
    steps = promotions(work)
    done_before = [each for each in steps if each.position < work.step.position + int(after)]
    later = [each for each in steps if each.position > work.step.position]
    stops = stops_of(seen)
    if work.step.direction == Direction.BACK or (after and not later) or len(done_before) >= len(stops):
        return None
    return stops[len(done_before)]


def stands(work: Work, seen: Workload, progress: Progress) -> bool:
    """Whether the canary stands at the pause to which this step leads."""
    if progress.waits_for != "promotion":
        return False
    stop = stop_of(work, seen, after=True)
    return stop is not None and canary_of(seen).step >= stop


def share(seen: Workload) -> Json:
    """Return how much of a Rollout is new: {"weight", "updated", "total"}; nothing for another kind."""
    if seen.reference.kind != ROLLOUT:
        return {}
    status = seen.status
    counts = {"updated": int(status.get("updatedReplicas") or 0), "total": int(status.get("replicas") or 0)}
    return {"weight": canary_of(seen).weight, **counts}


def under_way(work: Work, seen: Workload) -> Outcome | None:
    """Refuse a Rollout whose canary of somebody else is on its way or was given up.

    What its template asks for then is not what runs: there would be no way back to it.
    """
    if seen.reference.kind != ROLLOUT:
        return None
    if seen.annotations.get(ROLLOUT_ANNOTATION) == work.mark[ROLLOUT_ANNOTATION]:
        return None
    if not is_current(seen):
        return wait("waits_observed")
    canary = canary_of(seen)
    return None if canary.finished else failed("canary_under_way", canary.message)


def unlike_plan(work: Work, seen: Workload) -> Outcome | None:
    """Refuse a plan that does not promote exactly the pauses that the Rollout has; a restart meets none."""
    steps = promotions(work)
    full = any(each.params.get("full") for each in steps)
    stops = len(stops_of(seen))
    if len(steps) == stops or (full and len(steps) <= max(stops, 1)) or work.sibling("restart"):
        return None
    return failed("canary_stops_differ", args={"stops": stops, "promotions": len(steps)})
