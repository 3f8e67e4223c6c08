"""The ReplicaSet controller: as many pods as wanted, and the truth about them."""

from collections.abc import Iterable

from portal.embedded.cluster import clock, kinds
from portal.embedded.cluster.controllers import ownership, podwork
from portal.embedded.cluster.errors import ApiError
from portal.embedded.cluster.events import Events
from portal.embedded.cluster.objects import Objects, Options
from portal.embedded.cluster.store import Change, Key, Object, Store

COMPONENT = "replicaset-controller"
LONGEST_BACKOFF_SECONDS = 16.0


class ReplicaSets:
    def __init__(self, store: Store, objects: Objects, events: Events) -> None:
        self._store = store
        self._objects = objects
        self._events = events
        self._failures: dict[Key, int] = {}

    def keys(self, change: Change) -> Iterable[Key]:
        if change.kind is kinds.REPLICASETS:
            yield change.object["metadata"]["namespace"], change.object["metadata"]["name"]
        if change.kind is kinds.PODS:
            yield from ownership.owner_key(change, kinds.REPLICASETS)

    def sync(self, key: Key) -> float | None:
        item = self._store.get(kinds.REPLICASETS, *key)
        if item is None:
            self._failures.pop(key, None)
            return None
        pods = ownership.owned(self._store, kinds.PODS, kinds.REPLICASETS, item)
        active = [pod for pod in pods if podwork.is_active(pod)]
        problem = None
        if "deletionTimestamp" not in item["metadata"]:
            problem = self._scale(item, active)
        pods = ownership.owned(self._store, kinds.PODS, kinds.REPLICASETS, item, adopt=False)
        again = self._write_status(item, pods, problem)
        if problem is None:
            self._failures.pop(key, None)
            return again
        self._failures[key] = self._failures.get(key, 0) + 1
        return float(min(2.0 ** min(self._failures[key], 10) / 2, LONGEST_BACKOFF_SECONDS))

    def _scale(self, item: Object, active: list[Object]) -> tuple[str, str] | None:
        """Create or delete pods; returns reason and words of what stood in the way."""
        missing = item["spec"]["replicas"] - len(active)
        try:
            for _ in range(missing):
                self._create(item)
        except ApiError as error:
            words = f"Error creating: {error.message}"
            self._tell(item, "FailedCreate", words, warning=True)
            return "FailedCreate", error.message
        for pod in sorted(active, key=_worth)[: max(-missing, 0)]:
            self._delete(item, pod)
        return None

    def _create(self, item: Object) -> None:
        owner = ownership.reference(kinds.REPLICASETS, item)
        pod = podwork.create_from_template(
            self._objects, item, owner, template=item["spec"]["template"], labels={}
        )
        self._tell(item, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")

    def _delete(self, item: Object, pod: Object) -> None:
        metadata = pod["metadata"]
        self._objects.delete(kinds.PODS, metadata["namespace"], metadata["name"], options=Options())
        self._tell(item, "SuccessfulDelete", f"Deleted pod: {metadata['name']}")

    def _tell(self, item: Object, reason: str, message: str, *, warning: bool = False) -> None:
        self._events.tell(
            kinds.REPLICASETS, item, reason=reason, message=message, component=COMPONENT, warning=warning
        )

    def _write_status(
        self, item: Object, pods: list[Object], problem: tuple[str, str] | None
    ) -> float | None:
        active = [pod for pod in pods if podwork.is_active(pod)]
        seconds = item["spec"].get("minReadySeconds", 0)
        waits = [podwork.available_in(pod, min_ready_seconds=seconds) for pod in active]
        conditions = (item["status"] or {}).get("conditions") or []
        conditions = podwork.without_condition(conditions, "ReplicaFailure")
        if problem is not None:
            conditions = _failed(item, conditions, problem)
        counts = {
            "readyReplicas": sum(map(podwork.is_ready, active)),
            "availableReplicas": sum(wait == 0 for wait in waits),
            "fullyLabeledReplicas": len(active),
            "terminatingReplicas": sum("deletionTimestamp" in pod["metadata"] for pod in pods),
        }
        status: Object = {"replicas": len(active), "observedGeneration": item["metadata"]["generation"]}
        status |= {name: count for name, count in counts.items() if count or name == "terminatingReplicas"}
        if conditions:
            status["conditions"] = conditions
        current = self._store.get(kinds.REPLICASETS, item["metadata"]["namespace"], item["metadata"]["name"])
        if current is not None:
            self._store.update(kinds.REPLICASETS, {**current, "status": status})
        return min((wait for wait in waits if wait), default=None)


def _failed(item: Object, conditions: list[Object], problem: tuple[str, str]) -> list[Object]:
    reason, message = problem
    old = podwork.condition_of(item, "ReplicaFailure")
    # The first words stay: each try names another pod, and a status that changed would be the next try.
    new = {"type": "ReplicaFailure", "status": "True", "reason": reason, "message": message}
    return [*conditions, old or {**new, "lastTransitionTime": clock.stamp()}]


def _worth(pod: Object) -> tuple[bool, int, bool, str]:
    """Pods worth least are deleted first: unassigned, pending, unready, young."""
    phases = {"Pending": 0, "Unknown": 1, "Running": 2}
    ready = podwork.condition_of(pod, "Ready") or {}
    is_ready = ready.get("status") == "True"
    since = (
        str(ready.get("lastTransitionTime", "")) if is_ready else str(pod["metadata"]["creationTimestamp"])
    )
    # The youngest first: times are turned round digit by digit.
    young = "".join(chr(ord("9") - ord(sign) + ord("0")) if sign.isdigit() else sign for sign in since)
    return "nodeName" in pod["spec"], phases.get(pod["status"].get("phase", ""), 0), is_ready, young
