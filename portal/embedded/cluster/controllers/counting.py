"""Controllers that only count: quotas and disruption budgets."""

from collections.abc import Iterable

from portal.embedded.cluster import kinds
from portal.embedded.cluster.admission import COUNTED, usage
from portal.embedded.cluster.controllers import podwork, rolling
from portal.embedded.cluster.selectors import selector_matches
from portal.embedded.cluster.store import Change, Key, Store


class Quotas:
    def __init__(self, store: Store) -> None:
        self._store = store

    def keys(self, change: Change) -> Iterable[Key]:
        if not change.kind.namespaced or change.kind is kinds.EVENTS:
            return
        for quota in self._store.every(kinds.QUOTAS, change.object["metadata"]["namespace"]):
            yield quota["metadata"]["namespace"], quota["metadata"]["name"]

    def sync(self, key: Key) -> float | None:
        quota = self._store.get(kinds.QUOTAS, *key)
        if quota is None:
            return None
        hard = quota.get("spec", {}).get("hard") or {}
        used = {
            name: str(usage(self._store, COUNTED[name], key[0])) if name in COUNTED else "0" for name in hard
        }
        self._store.update(kinds.QUOTAS, {**quota, "status": {"hard": hard, "used": used}})
        return None


class Budgets:
    def __init__(self, store: Store) -> None:
        self._store = store

    def keys(self, change: Change) -> Iterable[Key]:
        metadata = change.object["metadata"]
        if change.kind is kinds.BUDGETS:
            yield metadata["namespace"], metadata["name"]
        if change.kind is kinds.PODS:
            for budget in self._store.every(kinds.BUDGETS, metadata["namespace"]):
                yield metadata["namespace"], budget["metadata"]["name"]

    def sync(self, key: Key) -> float | None:
        budget = self._store.get(kinds.BUDGETS, *key)
        if budget is None:
            return None
        spec = budget["spec"]
        pods = [
            pod
            for pod in self._store.every(kinds.PODS, key[0])
            if podwork.is_active(pod)
            and selector_matches(spec.get("selector"), pod["metadata"].get("labels"))
        ]
        healthy = sum(map(podwork.is_ready, pods))
        if "maxUnavailable" in spec:
            wanted = len(pods) - rolling.share(spec["maxUnavailable"], len(pods), up=True)
        else:
            wanted = rolling.share(spec.get("minAvailable", 1), len(pods), up=True)
        status = {
            "currentHealthy": healthy,
            "desiredHealthy": wanted,
            "expectedPods": len(pods),
            "disruptionsAllowed": max(healthy - wanted, 0),
            "observedGeneration": budget["metadata"]["generation"],
        }
        self._store.update(kinds.BUDGETS, {**budget, "status": status})
        return None
