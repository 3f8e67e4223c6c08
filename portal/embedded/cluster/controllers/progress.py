"""The status of a Deployment: counts, and the conditions Available, Progressing, ReplicaFailure."""

from collections.abc import Sequence

from portal.embedded.cluster import clock
from portal.embedded.cluster.controllers import rolling
from portal.embedded.cluster.controllers.podwork import condition_of, without_condition
from portal.embedded.cluster.store import Object

NO_DEADLINE = 2147483647
DONE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"


def condition(name: str, status: str, *, reason: str, message: str) -> Object:
    stamp = clock.stamp()
    return {
        "type": name,
        "status": status,
        "lastUpdateTime": stamp,
        "lastTransitionTime": stamp,
        "reason": reason,
        "message": message,
    }


def with_condition(conditions: list[Object], new: Object, *, renew: bool = False) -> list[Object]:
    """Set a condition; the same status and reason again change nothing unless progress renews it."""
    old = next((each for each in conditions if each["type"] == new["type"]), None)
    if old is not None:
        if not renew and (old["status"], old["reason"]) == (new["status"], new["reason"]):
            return conditions
        if old["status"] == new["status"]:
            new = {**new, "lastTransitionTime": old["lastTransitionTime"]}
    return [*without_condition(conditions, new["type"]), new]


def has_deadline(deployment: Object) -> bool:
    return bool(deployment["spec"].get("progressDeadlineSeconds", NO_DEADLINE) != NO_DEADLINE)


def counts(deployment: Object, sets: Sequence[Object], new: Object | None) -> Object:
    """The status without its conditions."""
    available = rolling.counted(sets, "availableReplicas")
    found = {
        "replicas": rolling.counted(sets, "replicas"),
        "updatedReplicas": rolling.counted([new] if new else [], "replicas"),
        "readyReplicas": rolling.counted(sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(rolling.wanted(sets) - available, 0),
    }
    status: Object = {name: count for name, count in found.items() if count}
    status["observedGeneration"] = deployment["metadata"]["generation"]
    status["terminatingReplicas"] = rolling.counted(sets, "terminatingReplicas")
    if "collisionCount" in deployment["status"]:
        status["collisionCount"] = deployment["status"]["collisionCount"]
    return status


def availability(deployment: Object, status: Object) -> Object:
    least = deployment["spec"]["replicas"] - rolling.unavailable(deployment)
    if status.get("availableReplicas", 0) >= least:
        words = "Deployment has minimum availability."
        return condition("Available", "True", reason="MinimumReplicasAvailable", message=words)
    words = "Deployment does not have minimum availability."
    return condition("Available", "False", reason="MinimumReplicasUnavailable", message=words)


def is_complete(deployment: Object, status: Object) -> bool:
    replicas = deployment["spec"]["replicas"]
    names = ("updatedReplicas", "replicas", "availableReplicas")
    return all(status.get(name, 0) == replicas for name in names)


def has_progressed(old: Object, new: Object) -> bool:
    def old_pods(status: Object) -> int:
        return int(status.get("replicas", 0) - status.get("updatedReplicas", 0))

    grown = any(
        new.get(name, 0) > old.get(name, 0)
        for name in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    return grown or old_pods(new) < old_pods(old)


def seconds_left(deployment: Object, conditions: list[Object]) -> float | None:
    """Seconds until the deadline; None where none is running."""
    present = next((each for each in conditions if each["type"] == "Progressing"), None)
    if present is None or not has_deadline(deployment) or present["reason"] in (DONE, TIMED_OUT):
        return None
    deadline: int = deployment["spec"]["progressDeadlineSeconds"]
    return deadline - clock.age(present["lastUpdateTime"])


def conditions_of(
    deployment: Object, sets: Sequence[Object], new: Object | None, *, status: Object
) -> list[Object]:
    """The conditions after a sync that may have brought progress."""
    found = deployment["status"].get("conditions") or []
    found = with_condition(found, availability(deployment, status))
    if has_deadline(deployment):
        found = _progressing(deployment, new, status=status, conditions=found)
    else:
        found = without_condition(found, "Progressing")
    return with_failures(found, sets, new)


def _progressing(
    deployment: Object, new: Object | None, *, status: Object, conditions: list[Object]
) -> list[Object]:
    present = next((each for each in conditions if each["type"] == "Progressing"), None)
    settled = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if present is not None and present["reason"] == DONE and settled:
        return conditions
    name = (
        f'ReplicaSet "{new["metadata"]["name"]}"' if new else f'Deployment "{deployment["metadata"]["name"]}"'
    )
    if is_complete(deployment, status):
        words = f"{name} has successfully progressed."
        return with_condition(conditions, condition("Progressing", "True", reason=DONE, message=words))
    if has_progressed(deployment["status"], status):
        words = f"{name} is progressing."
        news = condition("Progressing", "True", reason="ReplicaSetUpdated", message=words)
        return with_condition(conditions, news, renew=True)
    left = seconds_left(deployment, conditions)
    if left is not None and left <= 0:
        words = f"{name} has timed out progressing."
        return with_condition(conditions, condition("Progressing", "False", reason=TIMED_OUT, message=words))
    return conditions


def with_failures(conditions: list[Object], sets: Sequence[Object], new: Object | None) -> list[Object]:
    """ReplicaFailure is copied up from the new ReplicaSet, else from any."""
    for each in [*([new] if new else []), *sets]:
        failure = condition_of(each, "ReplicaFailure")
        if failure is not None:
            news = condition(
                "ReplicaFailure", failure["status"], reason=failure["reason"], message=failure["message"]
            )
            return with_condition(conditions, news)
    return without_condition(conditions, "ReplicaFailure")
