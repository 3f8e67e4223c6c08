"""What truly runs, read from the nodes through the pods, compared with what was approved or recorded."""

from collections.abc import Collection, Iterator
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
from releases.rollouts.states import Direction, StepState
from releases.rollouts.steps.kind import Json, Work, written_to
from releases.rollouts.tables import RELEASING, UNDONE_BY, WRITES_TEMPLATE


def read_back(work: Work) -> Json:
    """Return {"exact", "services": [{"service", "ok", "expected", "found", "reported", "text"}]}.

    A node may report the index's, the platform's or the config's digest: the accepted set was kept at
    approval. Where a node reports nothing, the pinned reference in the pod stands in, and that is said.
    """
    if work.step.direction == Direction.BACK:
        checks = _after_rollback(work)
    else:
        checks = _kept(work) if work.release.operation else _approved(work)
    services = [_compare(work, reference, expected, service) for reference, expected, service in checks]
    return {"exact": all(each["ok"] for each in services), "services": services}


Check = tuple[Reference, dict[str, set[str]], str]


def _approved(work: Work) -> list[Check]:
    found: list[Check] = []
    for step, workload in _written(work, RELEASING, Direction.FORWARD):
        item = next((each for each in work.items if each.service_id == step.service_id), None)
        if item is None:
            continue
        images = (written_to(step, workload) or {}).get("images") or {}
        accepted = accepted_digests(item)
        found.append((_reference(work, workload), dict.fromkeys(images, accepted), item.service.name))
    return found


def _kept(work: Work) -> list[Check]:
    """An operation puts no image anywhere: exactly what ran when it began must run."""
    return [_as_recorded(work, each) for each in work.siblings if each.kind == "record_running"]


def _after_rollback(work: Work) -> list[Check]:
    """What got back its template or its pods runs as it was recorded."""
    kinds = {*WRITES_TEMPLATE["back"], UNDONE_BY["scale"]}
    back = [(each.service_id, workload) for each, workload in _written(work, kinds, Direction.BACK)]
    return [
        _as_recorded(work, each)
        for each in work.siblings
        if each.kind == "record_running" and (each.service_id, each.params.get("workload")) in back
    ]


def _as_recorded(work: Work, record: Step) -> Check:
    digests = record.before.get("digests") or {}
    images = record.before.get("images") or {}
    expected = {
        name: {*digests.get(name, []), *filter(None, [digest_of(image)])} for name, image in images.items()
    }
    assert record.service is not None
    return _reference(work, record.params["workload"]), expected, record.service.name


def _compare(work: Work, reference: Reference, expected: dict[str, set[str]], service: str) -> Json:
    try:
        workload = work.listed_workload(reference)
    except PermanentError as error:
        if error.code != MISSING:
            raise
        return _row(service, expected, {}, ok=False, reported=False)
    found, reported = _running(work, workload)
    ok = bool(found) and all(
        found.get(name) and (not wanted or found[name] <= wanted) for name, wanted in expected.items()
    )
    if workload.replicas == 0:
        ok = all(
            not wanted or digest_of(workload.images.get(name, "")) in wanted
            for name, wanted in expected.items()
        )
    return _row(service, expected, found, ok=ok, reported=reported)


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


def _written(work: Work, kinds: Collection[str], direction: str) -> Iterator[tuple[Step, Json]]:
    """Every workload that a step of these kinds writes to; a step that was skipped wrote nothing."""
    for step in work.siblings:
        if step.kind in kinds and step.direction == direction and step.state != StepState.SKIPPED:
            own = step.params.get("workload")
            for workload in [own] if own else step.params["workloads"]:
                yield step, workload


def _reference(work: Work, workload: Json) -> Reference:
    return Reference(workload.get("kind", "Deployment"), work.environment.namespace, workload["name"])
