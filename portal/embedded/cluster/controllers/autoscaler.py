"""Horizontal autoscalers without metrics: they keep the bounds and say that they know no load."""

from collections.abc import Iterable

from portal.embedded.cluster import clock, kinds, managed
from portal.embedded.cluster.controllers.podwork import MANAGER, with_condition
from portal.embedded.cluster.events import Events
from portal.embedded.cluster.store import Change, Key, Object, Store

COMPONENT = "horizontal-pod-autoscaler"
TARGETS = {
    "Deployment": kinds.DEPLOYMENTS,
    "StatefulSet": kinds.STATEFULSETS,
    "ReplicaSet": kinds.REPLICASETS,
    "Rollout": kinds.ROLLOUTS,
}
# A real one looks every 15 s; this waits just long enough to be seen acting after others.
DELAY_SECONDS = 0.5


class Autoscalers:
    def __init__(self, store: Store, events: Events) -> None:
        self._store = store
        self._events = events
        self._waiting: set[Key] = set()

    def keys(self, change: Change) -> Iterable[Key]:
        metadata = change.object["metadata"]
        if change.kind is kinds.AUTOSCALERS:
            yield metadata["namespace"], metadata["name"]
        if change.kind in TARGETS.values():
            for item in self._store.every(kinds.AUTOSCALERS, metadata["namespace"]):
                target = item["spec"]["scaleTargetRef"]
                if (target["kind"], target["name"]) == (change.kind.kind, metadata["name"]):
                    yield metadata["namespace"], item["metadata"]["name"]

    def sync(self, key: Key) -> float | None:
        item = self._store.get(kinds.AUTOSCALERS, *key)
        if item is None:
            return None
        if key not in self._waiting:
            self._waiting.add(key)
            return DELAY_SECONDS
        self._waiting.discard(key)
        target = item["spec"]["scaleTargetRef"]
        kind = TARGETS.get(target["kind"])
        workload = self._store.get(kind, key[0], target["name"]) if kind else None
        if kind is None or workload is None:
            words = (
                f"the HPA controller was unable to get the target's current scale: {target['name']} not found"
            )
            self._write(item, current=0, wanted=0, able=("False", "FailedGetScale", words), active=None)
            return None
        present = workload["spec"].get("replicas", 1)
        if present == 0:
            words = "scaling is disabled since the replica count of the target is zero"
            self._write(item, current=0, wanted=0, active=("False", "ScalingDisabled", words))
            return None
        wanted = min(max(present, item["spec"].get("minReplicas", 1)), item["spec"]["maxReplicas"])
        if wanted != present:
            self._scale(item, kind, workload, wanted)
        words = "the HPA was unable to compute the replica count: unable to get metrics for resource cpu"
        current = workload.get("status", {}).get("replicas", 0)
        self._write(item, current=current, wanted=wanted, active=("False", "FailedGetResourceMetric", words))
        return None

    def _scale(self, item: Object, kind: kinds.Kind, workload: Object, wanted: int) -> None:
        metadata = {**workload["metadata"], "generation": workload["metadata"]["generation"] + 1}
        scaled = {**workload, "metadata": metadata, "spec": {**workload["spec"], "replicas": wanted}}
        metadata["managedFields"] = managed.record_update(
            kind, workload, scaled, manager=MANAGER, subresource="scale"
        )
        bound = "Current number of replicas below Spec.MinReplicas"
        if wanted < workload["spec"]["replicas"]:
            bound = "Current number of replicas above Spec.MaxReplicas"
        words = f"New size: {wanted}; reason: {bound}"
        self._store.update(kind, scaled)
        self._events.tell(
            kinds.AUTOSCALERS, item, reason="SuccessfulRescale", message=words, component=COMPONENT
        )

    def _write(
        self,
        item: Object,
        *,
        current: int,
        wanted: int,
        active: tuple[str, str, str] | None,
        able: tuple[str, str, str] = (
            "True",
            "SucceededGetScale",
            "the HPA controller was able to get the target's current scale",
        ),
    ) -> None:
        conditions = item["status"].get("conditions") or []
        for name, told in (("AbleToScale", able), ("ScalingActive", active)):
            if told is not None:
                status, reason, words = told
                new = {"type": name, "status": status, "reason": reason, "message": words}
                conditions = with_condition(conditions, {**new, "lastTransitionTime": clock.stamp()})
        counts = {"currentReplicas": current, "desiredReplicas": wanted, "currentMetrics": None}
        self._store.update(kinds.AUTOSCALERS, {**item, "status": {**counts, "conditions": conditions}})
