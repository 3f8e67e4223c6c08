"""Before each wave: is the release still approved, and is what was touched so far still as it was left?"""

from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.errors import MISSING
from portal.integrations.kubernetes.workloads import Reference
from releases.rollouts import release_side
from releases.rollouts.drift import Drift, deleted, find_drift
from releases.rollouts.models import Step
from releases.rollouts.states import Direction, StepState
from releases.rollouts.steps.kind import Json, Work


def before_start(work: Work) -> Json | None:
    """Return {"reason", "args"} when a person must look before this step begins."""
    step = work.step
    if step.kind != "set_image" or step.direction != Direction.FORWARD:
        return None
    missing = release_side.missing_for(work.release)
    if missing:
        return {"reason": "approval", "args": {"missing": missing}}
    drift = _drift_so_far(work)
    return None if drift is None else {"reason": "drift", "args": drift.args}


def _drift_so_far(work: Work) -> Drift | None:
    earlier = [
        each
        for each in work.siblings
        if each.kind == "set_image"
        and each.wave < work.step.wave
        and each.acted
        and each.state == StepState.SUCCEEDED
    ]
    for step in earlier:
        drift = _drift(work, step)
        if drift is not None:
            return drift
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
    except TemporaryError:
        return None  # the step itself will meet the same trouble and back off
    except PermanentError as error:
        return deleted(str(reference)) if error.code == MISSING else None
    return find_drift(
        seen,
        acted["spec"],
        uid=acted.get("uid", ""),
        scaled_by_others=before.get("autoscaler") is not None,
        accepted=record.accepted_drifts,
    )
