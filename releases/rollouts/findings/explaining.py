"""What a rollout explains of what is seen: what its steps may have done, and nothing else.

Nothing begins while it waits for a person, for hours or for days, and what is changed meanwhile is not its
doing; when it is over it has approved only what it may have changed.
"""

from collections.abc import Iterable
from typing import Any

from django.db.models import Q

from portal.statements import Given, Question
from releases.catalog.models import Running
from releases.rollouts.findings.differences import (
    BOUNDS,
    CONTENT,
    IMAGE,
    MISSING,
    RECREATED,
    REPLICAS,
    SELECTOR,
    Difference,
    differences,
)
from releases.rollouts.images import accepted_digests, recorded_digests
from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import StepState
from releases.rollouts.tables import ONLY_FOR, UNDONE_BY

Json = dict[str, Any]
SIZE = frozenset({REPLICAS, BOUNDS})
ANYTHING = SIZE | {SELECTOR, MISSING, RECREATED}
# What a kind of step may change of a Deployment beside its images; one that is not named may change anything.
CHANGES: dict[str, frozenset[str]] = {
    **dict.fromkeys(("set_image", "restore_image", "set_resources", "restore_resources"), frozenset()),
    **dict.fromkeys(("restart", "run_job", "restore_database"), frozenset()),
    **dict.fromkeys(("scale", "restore_scale"), SIZE),
    **dict.fromkeys(("switch_service", "restore_services"), frozenset({SELECTOR})),
}
ACTS = frozenset({*UNDONE_BY, *UNDONE_BY.values()})
# Asked at the end of each rollout.
_BEGUN = Question(
    lambda: (
        Step.objects.filter(rollout=Given("rollout"))
        .filter(Q(intent__isnull=False) | Q(state=StepState.SKIPPED, kind__in=sorted(ACTS)))
        .only("kind", "params", "service")
    )
)
# Their controller writes more than the step does: it leads Services to the pods that it takes for stable.
WITH_CONTROLLER = ONLY_FOR["promote"]


def unexplained(row: Running, rollout: Rollout) -> list[Difference]:
    """Return what of a service is not as expected, and cannot have been brought by a rollout that stands.

    What it brings or gives back is known: the digests of its release, and the images recorded before it.
    """
    records = list(rollout.steps.filter(kind="record_running", service=row.service_id))
    ran = {image for step in records for image in (step.before.get("images") or {}).values()}
    known = {*(row.expected.get("digests") or ()), *recorded_digests(records)}
    items = rollout.release.items.filter(service=row.service_id)
    accepted = known.union(*map(accepted_digests, items))
    found = differences({**row.expected, "digests": sorted(accepted)}, row.seen, scale=row.service.scale)
    # Where no digest is known of what ran before, nothing can be said of what nodes report.
    explained = may_change(begun_in(rollout), row.service_id) | (frozenset() if known else {CONTENT})
    return [
        each
        for each in found
        if each.code not in explained and not (each.code == IMAGE and each.found in ran)
    ]


def untouched(row: Running, begun: Iterable[Step]) -> Json:
    """Return what was expected of a service and a rollout cannot have changed: it is expected on.

    Its images are not among it, whatever the rollout did.

    Args:
        begun: the steps of the rollout, as `begun_in` returns them.
    """
    changed = may_change(begun, row.service_id)
    known = row.expected.get("workloads") or {}
    if not known or changed & {MISSING, RECREATED}:
        return {}
    names = ("uid",) if changed & SIZE else ("uid", "replicas", "autoscaler")
    kept = {name: each and {key: each[key] for key in names if key in each} for name, each in known.items()}
    selectors = {} if SELECTOR in changed else row.expected.get("selectors") or {}
    return {"workloads": kept, **({"selectors": selectors} if selectors else {})}


def begun_in(rollout: Rollout) -> list[Step]:
    """Return the steps of a rollout that have begun, and those that somebody skipped, to do them by hand."""
    return _BEGUN.ask(rollout=rollout.pk)


def may_change(begun: Iterable[Step], service: int) -> frozenset[str]:
    """Return the codes of what these steps may have changed of a service beside its image."""
    own = [each for each in begun if each.service_id in {None, service}]
    return frozenset().union(*map(_changes_of, own))


def _changes_of(step: Step) -> frozenset[str]:
    workload = step.params.get("workload") or {}
    if workload.get("kind") in WITH_CONTROLLER:
        return ANYTHING
    return CHANGES.get(step.kind, ANYTHING)
