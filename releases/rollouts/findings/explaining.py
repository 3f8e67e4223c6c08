"""What a rollout explains of what is seen: what its steps may have done, and nothing else.

A step is noted before it acts (`releases.rollouts.engine`): who has looked at the cluster and reads the steps
then knows all that may have brought what was seen. What is changed beside it is not its doing, and when it is
over it has approved only what it may have changed.
"""

from collections.abc import Iterable
from typing import Any

from django.db.models import Q

from portal.statements import Given, Question
from releases.catalog.models import Running
from releases.models import Item
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
from releases.rollouts.images import accepted_digests, digest_of, recorded_digests
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
# Those that have not been taken account of yet, and the one that is asked about. Asked at the end of each.
_SINCE = Q(rollout__pk__gt=Given("noted")) | Q(rollout=Given("rollout"))
_BEGUN = Question(
    lambda: Step.objects.filter(
        _SINCE,
        Q(service=Given("service")) | Q(service=None),
        Q(intent__isnull=False) | Q(state=StepState.SKIPPED, kind__in=sorted(ACTS)),
        rollout__environment=Given("environment"),
        rollout__release__items__service=Given("service"),
    ).only("kind", "params", "service")
)
# Their controller writes more than the step does: it leads Services to the pods that it takes for stable.
WITH_CONTROLLER = ONLY_FOR["promote"]


def unexplained(row: Running, rollout: Rollout) -> list[Difference]:
    """Return what of a service is not as expected, and was not brought by a rollout that is not over.

    What it and those before it that are not settled bring or give back is known: the digests of their
    releases, and the images recorded before them.
    """
    since = rollouts_since(row, rollout)
    ran = recorded_images(row, *since)
    known = {*(row.expected.get("digests") or ()), *filter(None, map(digest_of, ran))}
    accepted = known | digests_of(row, since)
    found = differences({**row.expected, "digests": sorted(accepted)}, row.seen, scale=row.service.scale)
    # Where no digest is known of what ran before, nothing can be said of what nodes report.
    explained = may_change(row, rollout) | (frozenset() if known else {CONTENT})
    return [
        each
        for each in found
        if each.code not in explained and not (each.code == IMAGE and each.found in ran)
    ]


def rollouts_since(row: Running, rollout: Rollout) -> list[Rollout]:
    """Return a rollout of a service, and those there that what is expected takes no account of yet."""
    there = Rollout.objects.filter(environment=row.environment_id, release__items__service=row.service_id)
    noted = row.expected.get("rollout", 0)
    return list(there.filter(Q(pk__gt=noted) | Q(pk=rollout.pk)).select_related("release"))


def recorded_images(row: Running, *rollouts: Rollout) -> frozenset[str]:
    """Return what ran of a service before each of some rollouts: images as they were named, and digests."""
    kind = {"kind": "record_running", "service": row.service_id}
    records = list(Step.objects.filter(rollout__in=rollouts, **kind))
    named = {image for step in records for image in (step.before.get("images") or {}).values()}
    return frozenset(named | recorded_digests(records))


def digests_of(row: Running, rollouts: Iterable[Rollout]) -> set[str]:
    """Return the digests that the releases of rollouts have for a service; operations take what they find."""
    releases = [each.release_id for each in rollouts if not each.release.operation]
    items = Item.objects.filter(release__in=releases, service=row.service_id).select_related("service")
    return set().union(*map(accepted_digests, items))


def untouched(row: Running, rollout: Rollout) -> Json:
    """Return what was expected of a service and a rollout cannot have changed: it is expected on.

    Its images are not among it, whatever the rollout did; nor is what others may have changed of which no
    account was taken yet.
    """
    changed = may_change(row, rollout)
    known = row.expected.get("workloads") or {}
    if not known or changed & {MISSING, RECREATED}:
        return {}
    names = ("uid",) if changed & SIZE else ("uid", "replicas", "autoscaler")
    kept = {name: each and {key: each[key] for key in names if key in each} for name, each in known.items()}
    selectors = {} if SELECTOR in changed else row.expected.get("selectors") or {}
    return {"workloads": kept, **({"selectors": selectors} if selectors else {})}


def may_change(row: Running, rollout: Rollout) -> frozenset[str]:
    """Return the codes of what may have been changed of a service beside its image, as `rollouts_since`.

    What somebody skipped may have been done by hand.
    """
    asked = {"environment": row.environment_id, "service": row.service_id, "rollout": rollout.pk}
    begun = _BEGUN.ask(noted=row.expected.get("rollout", 0), **asked)
    return frozenset().union(*map(_changes_of, begun))


def _changes_of(step: Step) -> frozenset[str]:
    workload = step.params.get("workload") or {}
    if workload.get("kind") in WITH_CONTROLLER:
        return ANYTHING
    return CHANGES.get(step.kind, ANYTHING)
