"""Before a write: is all that was touched as it was left, is it still approved, and may it begin now?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from portal import clock
from portal.actors import Actor
from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.workloads import Reference, Workload
from portal.statements import Given, Question
from releases.items import hold_items
from releases.models import Release
from releases.rollouts import release_side
from releases.rollouts.drift import Drift, deleted, find_drift
from releases.rollouts.models import Step
from releases.rollouts.states import Direction, StepState
from releases.rollouts.steps.kind import Json, Work
from releases.rollouts.steps.kinds import KINDS
from releases.rollouts.tables import RELEASING

RELEASE = Question(
    lambda: (
        Release.objects.select_related("plan", "environment__cluster")
        .defer("content", "plan__source", "environment__source", "environment__cluster__source")
        .filter(pk=Given("number"))
    )
)
# What was asked for one write of a wave holds so long for the next ones.
ASKED_FOR = timedelta(seconds=5)


def before_start(work: Work) -> Json | None:
    """Return {"reason", "args"} when a person must look before this step begins."""
    if not _is_forward_write(work.step):
        return None
    drift = _drift_so_far(work)
    return None if drift is None else {"reason": "drift", "args": drift.args}


def refused(step: Step, *, siblings: Sequence[Step], actor: Actor) -> Json | None:
    """Return {"reason", "args"} where a write may not begin: no longer approved, or closed by the calendar.

    Asked under lock, in the transaction that commits the intent of a wave's first write. A freeze or a window
    holds a wave that begins; one that runs goes on, and is asked for its approval again where its last write
    began a while ago, as between the shares of a canary.

    Args:
        siblings: all steps of the rollout.
    """
    if not _is_forward_write(step):
        return None
    begun = _last_begun(step, siblings)
    if begun is not None and clock.now() - begun < ASKED_FOR:
        return None
    (release,) = RELEASE.ask(number=step.rollout.release_id)
    hold_items(release)
    return _unapproved(step, release) or (None if begun is not None else _closed(release, actor))


def _unapproved(step: Step, release: Release) -> Json | None:
    missing = release_side.missing_for(release, after_signoff=step.is_after_signoff)
    return {"reason": "approval", "args": {"missing": missing}} if missing else None


def _closed(release: Release, actor: Actor) -> Json | None:
    missing = release_side.closed_for(release, actor=actor)
    closures = [{key: value for key, value in each.items() if key != "text"} for each in missing]
    return {"reason": "freeze", "args": {"closures": closures}} if missing else None


def _last_begun(step: Step, siblings: Sequence[Step]) -> datetime | None:
    """When the last write of this wave began, before or after the sign-off; None where none has."""
    own = (step.direction, step.wave, step.is_after_signoff)
    intents = [
        each.intent
        for each in siblings
        if each.intent is not None and (each.direction, each.wave, each.is_after_signoff) == own
    ]
    return max((datetime.fromisoformat(str(each["at"])) for each in intents), default=None)


def _is_forward_write(step: Step) -> bool:
    return KINDS[step.kind].acts and step.direction == Direction.FORWARD


def _drift_so_far(work: Work) -> Drift | None:
    changed = {
        (each.wave, each.service_id)
        for each in work.siblings
        if each.kind in RELEASING
        and each.wave < work.step.wave
        and each.acted
        and each.state == StepState.SUCCEEDED
    }
    earlier = [
        each
        for each in work.siblings
        if each.kind == "record_running" and (each.wave, each.service_id) in changed and _writes(work, each)
    ]
    try:
        seen = _seen(work, earlier)
    except (TemporaryError, PermanentError):
        return None  # the step itself will meet the same trouble and back off
    return next(filter(None, (_drift(work, step, seen) for step in earlier)), None)


def _writes(work: Work, step: Step) -> list[Json]:
    return replace(work, step=step).writes()


def _seen(work: Work, steps: Sequence[Step]) -> dict[Reference, Workload]:
    """Read the workloads of the steps, a collection at a time: one question is cheaper than ten."""
    found: dict[Reference, Workload] = {}
    for kind in sorted({_reference(work, step).kind for step in steps}):
        for workload in work.workloads(kind):
            found[workload.reference] = workload
    return found


def _reference(work: Work, step: Step) -> Reference:
    document = step.params["workload"]
    return Reference(document.get("kind", "Deployment"), work.environment.namespace, document["name"])


def _drift(work: Work, step: Step, present: Mapping[Reference, Workload]) -> Drift | None:
    """Compare a workload as it was recorded with what this rollout wrote to it."""
    written = _writes(work, step)[-1]
    seen = present.get(_reference(work, step))
    if seen is None:
        return deleted(str(_reference(work, step)))
    return find_drift(
        seen,
        written["spec"],
        uid=written.get("uid", ""),
        scaled_by_others=(step.before or {}).get("autoscaler") is not None,
        accepted=work.accepted_drifts,
    )
