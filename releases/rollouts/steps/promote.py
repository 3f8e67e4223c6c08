"""Lets a canary of Argo Rollouts go on: over the pause at which it stands, or over all that is left.

No mark is needed to find an earlier start's work: the canary's own step says whether its pause was lifted.
"""

from portal.integrations.argo.rollouts import (
    DEGRADED,
    FULL,
    Canary,
    canary_of,
    is_current,
    promotion,
    weight_at,
)
from portal.integrations.argo.rollouts import steps_of as canary_steps
from portal.integrations.kubernetes.workloads import PLURALS, Workload
from releases.rollouts.drift import deleted
from releases.rollouts.steps import canaries
from releases.rollouts.steps.kind import (
    ActingKind,
    Change,
    Found,
    Json,
    Outcome,
    Planned,
    Work,
    failed,
    hold,
    wait,
)
from releases.rollouts.steps.set_image import read_or_none
from releases.rollouts.steps.wait_rollout import WaitRollout, foreign


class Promote(ActingKind):
    """Lifts one pause of the canary's own steps; with `full` it skips all that are left."""

    name = canaries.PROMOTE

    def plan(self, work: Work) -> Planned:
        """Say from which share to which it will lead, or where the pauses are not those of the plan."""
        seen = work.cluster.workload(work.workload)
        wrong = canaries.unlike_plan(work, seen)
        if wrong is not None:
            return Planned(error=wrong.failure)
        stop = canaries.stop_of(work, seen, after=False)
        if stop is None:
            return Planned()  # a restart: its pods are replaced without a canary
        before = weight_at(canary_steps(seen), stop)
        after = FULL if work.step.params.get("full") else _next_weight(work, seen)
        return Planned(changes=[_told(seen, before, after)])

    def prepare(self, work: Work) -> Change | Found | Outcome:
        """Find out whether the canary stands at the pause that is this step's, or is past it already."""
        # Not from what was read for the whole round: what was written in it is what this rests on.
        seen = read_or_none(work)
        if seen is None:
            return hold("drift", **deleted(str(work.workload)).args)
        held = foreign(work, seen)
        if held is not None:
            return held
        if not is_current(seen):
            return wait("waits_observed")
        canary = canary_of(seen)
        if canary.phase == DEGRADED:
            return failed("canary_degraded", canary.message)
        if canary.finished:
            return _gone_on(canary)
        return _skipping(seen, canary) if work.step.params.get("full") else _lifting(work, seen, canary)

    def act(self, work: Work, change: Change) -> Json:
        """Send one patch to the status, which a Rollout keeps apart."""
        seen, full = change.payload
        work.cluster.change(PLURALS[seen.reference.kind], seen.raw, promotion(full=full), part="status")
        return {"step": canary_of(seen).step}

    def observe(self, work: Work) -> Outcome:
        """Wait for the pause to which this leads, or for the end, as after the image was set."""
        return WaitRollout().observe(work)


def _lifting(work: Work, seen: Workload, canary: Canary) -> Change | Found | Outcome:
    stop = canaries.stop_of(work, seen, after=False)
    if stop is None:
        stops = {"stops": 0, "promotions": len(canaries.promotions(work))}
        return failed("canary_stops_differ", args=stops)
    if canary.step > stop or (canary.step == stop and canary.unpausing):
        return _gone_on(canary)
    if canary.step < stop or not canary.waits_for_promotion:
        return wait("waits_updated", **canaries.share(seen))
    return _change(seen, canary, to=_next_weight(work, seen), full=False)


def _next_weight(work: Work, seen: Workload) -> int:
    """The share at the pause to which this step leads; the whole where none is left."""
    after, steps = canaries.stop_of(work, seen, after=True), canary_steps(seen)
    return weight_at(steps, len(steps) if after is None else after)


def _skipping(seen: Workload, canary: Canary) -> Change | Found:
    if seen.status.get("promoteFull"):
        return _gone_on(canary)
    return _change(seen, canary, to=FULL, full=True)


def _change(seen: Workload, canary: Canary, *, to: int, full: bool) -> Change:
    return Change(changes=[_told(seen, canary.weight, to)], payload=(seen, full))


def _told(seen: Workload, before: int, after: int) -> Json:
    return {
        "object": str(seen.reference),
        "field": "weight",
        "before": f"{before} %",
        "after": f"{after} %",
    }


def _gone_on(canary: Canary) -> Found:
    return Found(acted={"step": canary.step}, observed={"code": "canary_goes_on"})
