"""Before each wave: is the release still approved, and is what was touched so far still as it was left?"""

from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.errors import MISSING
from portal.integrations.kubernetes.workloads import Reference
from releases.models import Release
from releases.rollouts import release_side
from releases.rollouts.drift import Drift, deleted, find_drift
from releases.rollouts.models import Step
from releases.rollouts.states import Direction, StepState
from releases.rollouts.steps.kind import Json, Work


def before_start(work: Work) -> Json | None:
    """Return {"reason", "args"} when a person must look before this step begins."""
    held = unapproved(work.step, work.release)
    if held is not None or not _is_forward_write(work.step):
        return held
    drift = _drift_so_far(work)
    return None if drift is None else {"reason": "drift", "args": drift.args}


def unapproved(step: Step, release: Release) -> Json | None:
    """Return {"reason", "args"} when the step would write what is no longer approved.

    Asked before the step begins, and once more under lock before the write itself.
    """
    missing = release_side.missing_for(release) if _is_forward_write(step) else []
    return {"reason": "approval", "args": {"missing": missing}} if missing else None


def _is_forward_write(step: Step) -> bool:
    return step.kind == "set_image" and step.direction == Direction.FORWARD


def _drift_so_far(work: Work) -> Drift | None:
    earlier = [
        each
        for each in work.siblings
        if each.kind == "set_image"
        and each.wave < work.step.wave
        and each.acted
        and each.state == StepState.SUCCEEDED
    ]
    try:
        return next(filter(None, (_drift(work, step) for step in earlier)), None)
    except TemporaryError:
        # The step itself will meet the same trouble and back off. One question is enough: each may last as
        # long as the client waits, and all together longer than the lease.
        return None


def _drift(work: Work, step: Step) -> Drift | None:
    record = Work(
        step=step,
        release=work.release,
        environment=work.environment,
        items=work.items,
        siblings=work.siblings,
    )
    recorded = record.sibling("record_running")
    before = (recorded.before if recorded else None) or {}
    document = step.params["workload"]
    reference = Reference(document.get("kind", "Deployment"), work.environment.namespace, document["name"])
    acted = step.acted or {}
    try:
        seen = work.cluster.workload(reference)
    except PermanentError as error:
        return deleted(str(reference)) if error.code == MISSING else None
    return find_drift(
        seen,
        acted["spec"],
        uid=acted.get("uid", ""),
        scaled_by_others=before.get("autoscaler") is not None,
        accepted=record.accepted_drifts,
    )
