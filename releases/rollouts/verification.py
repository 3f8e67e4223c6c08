"""What truly runs, read from the nodes through the pods, compared with what was approved or recorded."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from portal.errors import PermanentError
from portal.integrations.kubernetes.errors import MISSING
from portal.integrations.kubernetes.workloads import (
    Reference,
    Workload,
    container_statuses,
    containers,
    pods_with,
)
from releases.rollouts.images import accepted_digests, digest_of
from releases.rollouts.models import Step
from releases.rollouts.states import Direction, OrderKind, StepState
from releases.rollouts.steps.kind import Json, Work, written_to
from releases.rollouts.tables import RELEASING, UNDONE_BY, WRITES_TEMPLATE


@dataclass(frozen=True, kw_only=True)
class Check:
    """One workload that is compared.

    Attributes:
        reference: None where it is a colour's, and it was never found out which.
        expected: the digests by container.
        otherwise: the digests of every container, where none is named in the catalog and none was written.
        skipped: {"workload", "by", "reason"} where what should have written to it was skipped.
    """

    service: str
    reference: Reference | None
    expected: dict[str, set[str]]
    otherwise: frozenset[str] = frozenset()
    skipped: Json | None = None


def read_back(work: Work) -> Json:
    """Return {"exact", "services": [{"service", "ok", "expected", "found", "reported", "skipped"?}]}.

    A node may report the index's, the platform's or the config's digest: the accepted set was kept at
    approval. Where a node reports nothing, the pinned reference in the pod stands in, and that is said.
    What was skipped is compared as well, and says who skipped it and why.
    """
    if work.step.direction == Direction.BACK:
        checks = _after_rollback(work)
    else:
        checks = _kept(work) if work.release.operation else _approved(work)
    services = [_compare(work, check) for check in checks]
    return {"exact": all(each["ok"] for each in services), "services": services}


def wrote_nothing(step: Step) -> bool:
    """Whether a step was skipped before it wrote anything."""
    return step.state == StepState.SKIPPED and step.acted is None


def _approved(work: Work) -> list[Check]:
    found: list[Check] = []
    for step, workload in _targets(work, RELEASING, Direction.FORWARD):
        item = next((each for each in work.items if each.service_id == step.service_id), None)
        if item is None:
            continue
        skipped, accepted = _skipped(work, step, workload), accepted_digests(item)
        named = (
            (workload or {}).get("containers")
            if skipped
            else (written_to(step, workload) or {}).get("images")
        )
        check = Check(
            service=item.service.name,
            reference=_reference(work, workload) if workload else None,
            expected=dict.fromkeys(named or (), accepted),
            otherwise=frozenset(accepted if skipped else ()),
            skipped=skipped,
        )
        found.append(check)
    return found


def _kept(work: Work) -> list[Check]:
    """An operation puts no image anywhere: exactly what ran when it began must run."""
    return [_as_recorded(work, each) for each in work.siblings if each.kind == "record_running"]


def _after_rollback(work: Work) -> list[Check]:
    """What got back its template or its pods runs as it was recorded."""
    kinds = {*WRITES_TEMPLATE["back"], UNDONE_BY["scale"]}
    found: list[Check] = []
    targets = _targets(work, kinds, Direction.BACK)
    for record in [each for each in work.siblings if each.kind == "record_running"]:
        own = (record.service_id, record.params.get("workload"))
        step = next((each for each, workload in targets if (each.service_id, workload) == own), None)
        if step is not None:
            found.append(replace(_as_recorded(work, record), skipped=_skipped(work, step, own[1])))
    return found


def _as_recorded(work: Work, record: Step) -> Check:
    digests = record.before.get("digests") or {}
    images = record.before.get("images") or {}
    expected = {
        name: {*digests.get(name, []), *filter(None, [digest_of(image)])} for name, image in images.items()
    }
    assert record.service is not None
    reference = _reference(work, record.params["workload"])
    return Check(service=record.service.name, reference=reference, expected=expected)


def _skipped(work: Work, step: Step, workload: Json | None) -> Json | None:
    """Who skipped a step that has written nothing, and why."""
    if not wrote_nothing(step):
        return None
    assert work.rollout is not None
    orders = work.rollout.orders.filter(kind=OrderKind.SKIP, step=step, by__isnull=False)
    order = orders.select_related("by").order_by("-pk").first()
    by = order.by.username if order is not None and order.by is not None else ""
    return {"workload": workload["name"] if workload else "", "by": by, "reason": step.reason}


def _compare(work: Work, check: Check) -> Json:
    more: Json = {"skipped": check.skipped} if check.skipped else {}
    workload = _read(work, check.reference)
    if workload is None:
        return _row(check.service, check.expected, {}, ok=False, reported=False, **more)
    named = workload.images if check.otherwise else ()
    expected = check.expected or {name: set(check.otherwise) for name in named}
    found, reported = _running(work, workload)
    ok = bool(found) and all(
        found.get(name) and (not wanted or found[name] <= wanted) for name, wanted in expected.items()
    )
    if workload.replicas == 0:
        ok = all(
            not wanted or digest_of(workload.images.get(name, "")) in wanted
            for name, wanted in expected.items()
        )
    return _row(check.service, expected, found, ok=ok, reported=reported, **more)


def _read(work: Work, reference: Reference | None) -> Workload | None:
    """Return the workload; None where it is gone, or never was known."""
    try:
        return work.listed_workload(reference) if reference else None
    except PermanentError as error:
        if error.code != MISSING:
            raise
        return None


def _running(work: Work, workload: Workload) -> tuple[dict[str, set[str]], bool]:
    pods = pods_with(workload.selector, work.collection("pods"))
    found: dict[str, set[str]] = {}
    reported = True
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp") or (pod.get("status") or {}).get("phase") == "Succeeded":
            continue
        asked = {each["name"]: each.get("image", "") for each in containers(pod)}
        told = {each["name"]: digest_of(each.get("imageID") or "") for each in container_statuses(pod)}
        for name, image in asked.items():
            reported = reported and bool(told.get(name))
            found.setdefault(name, set()).add(told.get(name) or digest_of(image) or image)
    return found, reported


def _row(service: str, expected: dict[str, set[str]], found: dict[str, set[str]], **more: Any) -> Json:
    return {
        "service": service,
        "expected": {name: sorted(digests) for name, digests in expected.items()},
        "found": {name: sorted(digests) for name, digests in found.items()},
        **more,
    }


def _targets(work: Work, kinds: Collection[str], direction: str) -> list[tuple[Step, Json | None]]:
    """Every workload that a step of these kinds has written to, or else would have."""
    found = [
        (step, workload)
        for step in work.siblings
        if step.kind in kinds and step.direction == direction
        for workload in _workloads(step)
    ]
    done = [(step.service_id, workload) for step, workload in found if not wrote_nothing(step)]
    return [
        (step, workload)
        for step, workload in found
        if not wrote_nothing(step) or (step.service_id, workload) not in done
    ]


def _workloads(step: Step) -> list[Json | None]:
    own: Json | None = step.params.get("workload")
    return [own] if own else list(step.params.get("workloads") or [None])


def _reference(work: Work, workload: Json) -> Reference:
    return Reference(workload.get("kind", "Deployment"), work.environment.namespace, workload["name"])
