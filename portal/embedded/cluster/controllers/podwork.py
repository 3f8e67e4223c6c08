"""What the workload controllers share about pods: making them, and judging their state."""

import copy

from portal.embedded.cluster import clock, kinds
from portal.embedded.cluster.objects import Objects, Options
from portal.embedded.cluster.store import Object

ENDED = ("Succeeded", "Failed")
MANAGER = "kube-controller-manager"


def create_from_template(
    objects: Objects, owner: Object, reference: Object, *, template: Object, name: str = "", labels: Object
) -> Object:
    """Create a pod of a template, named or with a random ending.

    Raises:
        ApiError: what admission says against it.
    """
    metadata = copy.deepcopy(template.get("metadata") or {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    metadata["ownerReferences"] = [reference]
    if name:
        metadata["name"] = name
    else:
        metadata["generateName"] = f"{owner['metadata']['name']}-"
    body = {"metadata": metadata, "spec": copy.deepcopy(template["spec"])}
    options = Options(manager=MANAGER, validation="Ignore")
    return objects.create(kinds.PODS, owner["metadata"]["namespace"], body, options=options)


def condition_of(item: Object, name: str) -> Object | None:
    conditions = item.get("status", {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == name), None)


def is_active(pod: Object) -> bool:
    return pod["status"].get("phase") not in ENDED and "deletionTimestamp" not in pod["metadata"]


def is_ready(pod: Object) -> bool:
    condition = condition_of(pod, "Ready")
    return condition is not None and condition["status"] == "True"


def available_in(pod: Object, *, min_ready_seconds: int) -> float | None:
    """Seconds until a pod counts as available: 0 now, None while it is not ready."""
    condition = condition_of(pod, "Ready")
    if condition is None or condition["status"] != "True":
        return None
    if not min_ready_seconds:
        return 0.0
    return max(min_ready_seconds - clock.age(condition["lastTransitionTime"]), 0.0)


def with_condition(conditions: list[Object], new: Object) -> list[Object]:
    """The list with a condition set; the time of transition stays where the status does."""
    old = next((each for each in conditions if each["type"] == new["type"]), None)
    if old is not None and old["status"] == new["status"]:
        new = {**new, "lastTransitionTime": old["lastTransitionTime"]}
        if all(old.get(key) == new.get(key) for key in ("reason", "message")):
            return conditions
    return [*(each for each in conditions if each["type"] != new["type"]), new]


def without_condition(conditions: list[Object], name: str) -> list[Object]:
    return [each for each in conditions if each["type"] != name]
