"""The DaemonSet controller: one pod on each node, the old template's replaced one node at a time."""

from collections.abc import Iterable

from portal.embedded.cluster import kinds
from portal.embedded.cluster.controllers import ownership, podwork, revisions
from portal.embedded.cluster.errors import ApiError
from portal.embedded.cluster.events import Events
from portal.embedded.cluster.objects import Objects, Options
from portal.embedded.cluster.store import Change, Key, Object, Store

COMPONENT = "daemonset-controller"
HASH_LABEL = "controller-revision-hash"
RETRY_SECONDS = 2.0


class DaemonSets:
    def __init__(self, store: Store, objects: Objects, events: Events) -> None:
        self._store = store
        self._objects = objects
        self._events = events

    def keys(self, change: Change) -> Iterable[Key]:
        if change.kind is kinds.DAEMONSETS:
            yield change.object["metadata"]["namespace"], change.object["metadata"]["name"]
        if change.kind is kinds.PODS:
            yield from ownership.owner_key(change, kinds.DAEMONSETS)

    def sync(self, key: Key) -> float | None:
        item = self._store.get(kinds.DAEMONSETS, *key)
        if item is None or "deletionTimestamp" in item["metadata"]:
            return None
        made = revisions.of_template(self._store, kinds.DAEMONSETS, item, label=HASH_LABEL)
        digest = made["metadata"]["labels"][HASH_LABEL]
        problem = self._fill(item, digest)
        self._replace_one(item, digest)
        self._write_status(item, digest)
        return RETRY_SECONDS if problem else None

    def _by_node(self, item: Object) -> dict[str, Object]:
        pods = ownership.owned(self._store, kinds.PODS, kinds.DAEMONSETS, item)
        return {
            pod["spec"].get("nodeName", ""): pod
            for pod in pods
            if pod["status"].get("phase") not in podwork.ENDED
        }

    def _nodes(self, item: Object) -> list[str]:
        selector = item["spec"]["template"]["spec"].get("nodeSelector") or {}
        return [
            node["metadata"]["name"]
            for node in self._store.every(kinds.NODES)
            if all(
                (node["metadata"].get("labels") or {}).get(name) == value for name, value in selector.items()
            )
        ]

    def _fill(self, item: Object, digest: str) -> bool:
        present = self._by_node(item)
        owner = ownership.reference(kinds.DAEMONSETS, item)
        for node in self._nodes(item):
            if node in present:
                continue
            template = item["spec"]["template"]
            bound = {**template, "spec": {**template["spec"], "nodeName": node}}
            try:
                pod = podwork.create_from_template(
                    self._objects, item, owner, template=bound, labels={HASH_LABEL: digest}
                )
            except ApiError as error:
                self._tell(item, "FailedCreate", f"Error creating: {error.message}", warning=True)
                return True
            self._tell(item, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
        return False

    def _replace_one(self, item: Object, digest: str) -> None:
        """Take one old pod away while all others are ready."""
        if item["spec"]["updateStrategy"]["type"] != "RollingUpdate":
            return
        pods = list(self._by_node(item).values())
        old = [pod for pod in pods if pod["metadata"]["labels"].get(HASH_LABEL) != digest]
        unready = [pod for pod in pods if not podwork.is_ready(pod) or "deletionTimestamp" in pod["metadata"]]
        candidates = [pod for pod in old if pod in unready] or old
        if not candidates or any(pod not in candidates for pod in unready):
            return
        metadata = candidates[0]["metadata"]
        if "deletionTimestamp" not in metadata:
            self._objects.delete(kinds.PODS, metadata["namespace"], metadata["name"], options=Options())
            self._tell(item, "SuccessfulDelete", f"Deleted pod: {metadata['name']}")

    def _write_status(self, item: Object, digest: str) -> None:
        pods = [pod for pod in self._by_node(item).values() if podwork.is_active(pod)]
        wanted = len(self._nodes(item))
        ready = sum(map(podwork.is_ready, pods))
        status = {
            "currentNumberScheduled": len(pods),
            "desiredNumberScheduled": wanted,
            "numberMisscheduled": 0,
            "numberReady": ready,
            "numberAvailable": ready,
            "numberUnavailable": wanted - ready,
            "updatedNumberScheduled": sum(
                pod["metadata"]["labels"].get(HASH_LABEL) == digest for pod in pods
            ),
            "observedGeneration": item["metadata"]["generation"],
        }
        self._store.update(kinds.DAEMONSETS, {**item, "status": status})

    def _tell(self, item: Object, reason: str, message: str, *, warning: bool = False) -> None:
        self._events.tell(
            kinds.DAEMONSETS, item, reason=reason, message=message, component=COMPONENT, warning=warning
        )
