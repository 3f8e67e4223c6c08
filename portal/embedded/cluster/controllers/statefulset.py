"""The StatefulSet controller: numbered pods, one by one, and revisions of their template."""

from collections.abc import Iterable

from portal.embedded.cluster import kinds
from portal.embedded.cluster.controllers import ownership, podwork, revisions
from portal.embedded.cluster.errors import ApiError
from portal.embedded.cluster.events import Events
from portal.embedded.cluster.objects import Objects, Options
from portal.embedded.cluster.store import Change, Key, Object, Store

COMPONENT = "statefulset-controller"
REVISION_LABEL = "controller-revision-hash"
NAME_LABEL = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL = "apps.kubernetes.io/pod-index"
RETRY_SECONDS = 2.0


class StatefulSets:
    def __init__(self, store: Store, objects: Objects, events: Events) -> None:
        self._store = store
        self._objects = objects
        self._events = events

    def keys(self, change: Change) -> Iterable[Key]:
        if change.kind is kinds.STATEFULSETS:
            yield change.object["metadata"]["namespace"], change.object["metadata"]["name"]
        if change.kind is kinds.PODS:
            yield from ownership.owner_key(change, kinds.STATEFULSETS)

    def sync(self, key: Key) -> float | None:
        item = self._store.get(kinds.STATEFULSETS, *key)
        if item is None or "deletionTimestamp" in item["metadata"]:
            return None
        update = self._revision(item)
        current = self._current(item, update)
        pods = self._pods(item)
        problem = self._act(item, pods, update=update, current=current)
        wait = self._write_status(item, self._pods(item), update=update, current=current)
        return RETRY_SECONDS if problem else wait

    def _pods(self, item: Object) -> dict[int, Object]:
        found = ownership.owned(self._store, kinds.PODS, kinds.STATEFULSETS, item)
        prefix = f"{item['metadata']['name']}-"
        named = {pod["metadata"]["name"].removeprefix(prefix): pod for pod in found}
        return {int(index): pod for index, pod in named.items() if index.isdigit()}

    def _revisions(self, item: Object) -> list[Object]:
        return revisions.numbered(self._store, kinds.STATEFULSETS, item)

    def _revision(self, item: Object) -> Object:
        """The ControllerRevision of the present template, found or made."""
        label = "controller.kubernetes.io/hash"
        return revisions.of_template(self._store, kinds.STATEFULSETS, item, label=label)

    def _current(self, item: Object, update: Object) -> Object:
        name = item["status"].get("currentRevision")
        found = [each for each in self._revisions(item) if each["metadata"]["name"] == name]
        return found[0] if found else update

    def _act(self, item: Object, pods: dict[int, Object], *, update: Object, current: Object) -> str:
        """One step: create what is missing, take what is too much, then update from the last to the first."""
        spec = item["spec"]
        ordered = spec["podManagementPolicy"] == "OrderedReady"
        for index in range(spec["replicas"]):
            pod = pods.get(index)
            if (
                pod is not None
                and pod["status"].get("phase") in podwork.ENDED
                and "deletionTimestamp" not in pod["metadata"]
            ):
                self._delete(item, pod)
                return ""
            if pod is None:
                problem = self._create(item, index, update=update, current=current)
                if problem or ordered:
                    return problem
            elif ordered and not self._is_steady(item, pod):
                return ""
        surplus = sorted((index for index in pods if index >= spec["replicas"]), reverse=True)
        for index in surplus:
            if "deletionTimestamp" not in pods[index]["metadata"]:
                self._delete(item, pods[index])
            if ordered:
                return ""
        if not surplus and spec["updateStrategy"]["type"] == "RollingUpdate":
            self._update(item, pods, update=update)
        return ""

    def _update(self, item: Object, pods: dict[int, Object], *, update: Object) -> None:
        partition = (item["spec"]["updateStrategy"].get("rollingUpdate") or {}).get("partition", 0)
        for index in range(item["spec"]["replicas"] - 1, partition - 1, -1):
            pod = pods.get(index)
            if pod is None or "deletionTimestamp" in pod["metadata"]:
                return
            if pod["metadata"]["labels"].get(REVISION_LABEL) != update["metadata"]["name"]:
                self._delete(item, pod)
                return
            if not self._is_steady(item, pod):
                return

    def _is_steady(self, item: Object, pod: Object) -> bool:
        seconds = item["spec"].get("minReadySeconds", 0)
        return "deletionTimestamp" not in pod["metadata"] and (
            podwork.available_in(pod, min_ready_seconds=seconds) == 0
        )

    def _create(self, item: Object, index: int, *, update: Object, current: Object) -> str:
        partition = (item["spec"]["updateStrategy"].get("rollingUpdate") or {}).get("partition", 0)
        revision = update if index >= partition else current
        name = f"{item['metadata']['name']}-{index}"
        labels = {REVISION_LABEL: revision["metadata"]["name"], NAME_LABEL: name, INDEX_LABEL: str(index)}
        template = {
            key: part for key, part in revision["data"]["spec"]["template"].items() if key != "$patch"
        }
        owner = ownership.reference(kinds.STATEFULSETS, item)
        words = f"create Pod {name} in StatefulSet {item['metadata']['name']}"
        try:
            podwork.create_from_template(
                self._objects, item, owner, template=template, name=name, labels=labels
            )
        except ApiError as error:
            self._tell(item, "FailedCreate", f"{words} failed error: {error.message}", warning=True)
            return error.message
        self._tell(item, "SuccessfulCreate", f"{words} successful")
        return ""

    def _delete(self, item: Object, pod: Object) -> None:
        metadata = pod["metadata"]
        self._objects.delete(kinds.PODS, metadata["namespace"], metadata["name"], options=Options())
        words = f"delete Pod {metadata['name']} in StatefulSet {item['metadata']['name']} successful"
        self._tell(item, "SuccessfulDelete", words)

    def _tell(self, item: Object, reason: str, message: str, *, warning: bool = False) -> None:
        self._events.tell(
            kinds.STATEFULSETS, item, reason=reason, message=message, component=COMPONENT, warning=warning
        )

    def _write_status(
        self, item: Object, pods: dict[int, Object], *, update: Object, current: Object
    ) -> float | None:
        live = list(pods.values())
        seconds = item["spec"].get("minReadySeconds", 0)
        waits = [podwork.available_in(pod, min_ready_seconds=seconds) for pod in live]
        names = [pod["metadata"]["labels"].get(REVISION_LABEL) for pod in live if podwork.is_active(pod)]
        updated = names.count(update["metadata"]["name"])
        replicas = item["spec"]["replicas"]
        ready = sum(podwork.is_ready(pod) and "deletionTimestamp" not in pod["metadata"] for pod in live)
        if updated == replicas and ready == replicas and len(live) == replicas:
            current = update
        found = {
            "readyReplicas": ready,
            "currentReplicas": names.count(current["metadata"]["name"]),
            "updatedReplicas": updated,
        }
        status: Object = {
            "observedGeneration": item["metadata"]["generation"],
            "replicas": len(live),
            "availableReplicas": sum(wait == 0 for wait in waits),
            "currentRevision": current["metadata"]["name"],
            "updateRevision": update["metadata"]["name"],
            "collisionCount": 0,
            **{name: count for name, count in found.items() if count},
        }
        self._store.update(kinds.STATEFULSETS, {**item, "status": status})
        self._clean_up(item, {update["metadata"]["name"], current["metadata"]["name"], *names})
        return min((wait for wait in waits if wait), default=None)

    def _clean_up(self, item: Object, used: set[str | None]) -> None:
        limit = item["spec"].get("revisionHistoryLimit", 10)
        old = [each for each in self._revisions(item) if each["metadata"]["name"] not in used]
        for each in old[: max(len(old) - limit, 0)]:
            self._store.remove(kinds.REVISIONS, each)
