"""Endpoints and EndpointSlices: which pods a Service leads to, ready or not."""

import hashlib
from collections.abc import Iterable

from portal.embedded.cluster import kinds
from portal.embedded.cluster.controllers import ownership, podwork
from portal.embedded.cluster.store import Change, Key, Object, Store

SERVICE_LABEL = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"


class EndpointSlices:
    def __init__(self, store: Store) -> None:
        self._store = store

    def keys(self, change: Change) -> Iterable[Key]:
        metadata = change.object["metadata"]
        if change.kind is kinds.SERVICES:
            yield metadata["namespace"], metadata["name"]
        if change.kind is kinds.PODS:
            for service in self._store.every(kinds.SERVICES, metadata["namespace"]):
                if _selects(service, change.object) or (
                    change.previous and _selects(service, change.previous)
                ):
                    yield metadata["namespace"], service["metadata"]["name"]

    def sync(self, key: Key) -> float | None:
        service = self._store.get(kinds.SERVICES, *key)
        if service is None:
            old = self._store.get(kinds.ENDPOINTS, *key)
            if old is not None:
                self._store.remove(kinds.ENDPOINTS, old)
            return None
        if not service["spec"].get("selector"):
            return None
        pods = [
            pod for pod in self._store.every(kinds.PODS, key[0]) if _selects(service, pod) and _counts(pod)
        ]
        self._put(kinds.SLICES, _slice(service, pods))
        self._put(kinds.ENDPOINTS, _endpoints(service, pods))
        return None

    def _put(self, kind: kinds.Kind, item: Object) -> None:
        metadata = item["metadata"]
        old = self._store.get(kind, metadata["namespace"], metadata["name"])
        if old is None:
            self._store.create(kind, item)
            return
        self._store.update(kind, {**old, **item, "metadata": {**old["metadata"], **metadata}})


def _selects(service: Object, pod: Object) -> bool:
    selector, labels = service["spec"].get("selector"), pod["metadata"].get("labels") or {}
    return bool(selector) and all(labels.get(name) == value for name, value in selector.items())


def _counts(pod: Object) -> bool:
    return "podIP" in pod["status"] and pod["status"].get("phase") not in podwork.ENDED


def target_port(port: Object, pod: Object) -> int | None:
    """The number behind a Service's targetPort in a pod; names are looked up."""
    wanted = port.get("targetPort", port["port"])
    if isinstance(wanted, int):
        return wanted
    for container in pod["spec"]["containers"]:
        for each in container.get("ports") or []:
            if each.get("name") == wanted:
                number: int = each["containerPort"]
                return number
    return int(str(wanted)) if str(wanted).isdigit() else None


def _target(pod: Object) -> Object:
    metadata = pod["metadata"]
    return {
        "kind": "Pod",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def _slice(service: Object, pods: list[Object]) -> Object:
    metadata = service["metadata"]
    suffix = hashlib.sha256(metadata["uid"].encode()).hexdigest()[:5]
    endpoints = []
    for pod in pods:
        ends = "deletionTimestamp" in pod["metadata"]
        serving = podwork.is_ready(pod)
        endpoints.append(
            {
                "addresses": [pod["status"]["podIP"]],
                "conditions": {"ready": serving and not ends, "serving": serving, "terminating": ends},
                "nodeName": pod["spec"].get("nodeName"),
                "targetRef": _target(pod),
            }
        )
    return {
        "metadata": {
            "name": f"{metadata['name']}-{suffix}",
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "labels": {
                **(metadata.get("labels") or {}),
                SERVICE_LABEL: metadata["name"],
                MANAGED_BY: "endpointslice-controller.k8s.io",
            },
            "ownerReferences": [ownership.reference(kinds.SERVICES, service)],
        },
        "addressType": "IPv4",
        "endpoints": endpoints or None,
        "ports": [_port(port, pods, name="port") for port in service["spec"].get("ports") or []]
        if pods
        else None,
    }


def _port(port: Object, pods: list[Object], *, name: str) -> Object:
    numbers = [target_port(port, pod) for pod in pods]
    number = next((each for each in numbers if each), port["port"])
    return {"name": port.get("name", ""), name: number, "protocol": port.get("protocol", "TCP")}


def _endpoints(service: Object, pods: list[Object]) -> Object:
    metadata = service["metadata"]
    ready = [pod for pod in pods if podwork.is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]
    waiting = [
        pod for pod in pods if not podwork.is_ready(pod) and "deletionTimestamp" not in pod["metadata"]
    ]
    subset: Object = {}
    for name, group in (("addresses", ready), ("notReadyAddresses", waiting)):
        if group:
            subset[name] = [
                {
                    "ip": pod["status"]["podIP"],
                    "nodeName": pod["spec"].get("nodeName"),
                    "targetRef": _target(pod),
                }
                for pod in group
            ]
    if subset:
        subset["ports"] = [_port(port, pods, name="port") for port in service["spec"].get("ports") or []]
    return {
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": dict(metadata.get("labels") or {}),
        },
        "subsets": [subset] if subset else [],
    }
