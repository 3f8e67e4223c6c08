"""What a rollout that stands explains of what is seen: what its steps may have done, and nothing else.

Nothing begins while it waits for a person, for hours or for days; what is changed meanwhile is not its doing.
"""

from collections.abc import Iterable

from releases.catalog.models import Running
from releases.rollouts.findings.differences import (
    BOUNDS,
    MISSING,
    OF_IMAGES,
    RECREATED,
    REPLICAS,
    SELECTOR,
    Difference,
    differences,
)
from releases.rollouts.images import accepted_digests
from releases.rollouts.models import Rollout, Step
from releases.rollouts.running import recorded_digests
from releases.rollouts.tables import ONLY_FOR

SIZE = frozenset({REPLICAS, BOUNDS})
ANYTHING = SIZE | {SELECTOR, MISSING, RECREATED}
# What a kind of step may change of a Deployment beside its images; one that is not named may change anything.
CHANGES: dict[str, frozenset[str]] = {
    **dict.fromkeys(("set_image", "restore_image", "set_resources", "restore_resources"), frozenset()),
    **dict.fromkeys(("restart", "run_job", "restore_database"), frozenset()),
    **dict.fromkeys(("scale", "restore_scale"), SIZE),
    **dict.fromkeys(("switch_service", "restore_services"), frozenset({SELECTOR})),
}
# Their controller writes more than the step does: it leads Services to the pods that it takes for stable.
WITH_CONTROLLER = ONLY_FOR["promote"]


def unexplained(row: Running, rollout: Rollout) -> list[Difference]:
    """Return what of a service is not as expected, and cannot have been brought by a rollout that stands.

    Every image that the rollout brings or gives back carries a digest: of its release, or recorded before.
    """
    begun = [
        each
        for each in rollout.steps.filter(intent__isnull=False)
        if each.service_id in {None, row.service_id}
    ]
    recorded = rollout.steps.filter(kind="record_running", service=row.service_id)
    known = {*(row.expected.get("digests") or ()), *recorded_digests(recorded)}
    items = rollout.release.items.filter(service=row.service_id)
    accepted = known.union(*map(accepted_digests, items))
    found = differences({**row.expected, "digests": sorted(accepted)}, row.seen, scale=row.service.scale)
    explained = _may_change(begun) | (frozenset() if known else OF_IMAGES)
    return [each for each in found if each.code not in explained]


def _may_change(steps: Iterable[Step]) -> frozenset[str]:
    """The codes of the differences that steps which have begun may have made."""
    return frozenset().union(*map(_changes_of, steps))


def _changes_of(step: Step) -> frozenset[str]:
    workload = step.params.get("workload") or {}
    if workload.get("kind") in WITH_CONTROLLER:
        return ANYTHING
    return CHANGES.get(step.kind, ANYTHING)
