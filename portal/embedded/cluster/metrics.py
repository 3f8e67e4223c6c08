"""What pods and nodes use, as a metrics server tells it: made up, steady, and within what they ask for."""

import hashlib
import math
from collections.abc import Iterable
from typing import Any

from kubernetes.utils import parse_quantity

from portal.embedded.cluster import clock, kinds
from portal.embedded.cluster.errors import method_not_allowed, not_found, unknown_path
from portal.embedded.cluster.paths import Target
from portal.embedded.cluster.selectors import labels_match
from portal.embedded.cluster.store import Object, Store

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
RESOURCES: list[dict[str, Any]] = [
    {
        "name": "nodes",
        "singularName": "",
        "namespaced": False,
        "kind": "NodeMetrics",
        "verbs": ["get", "list"],
    },
    {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]},
]
# Of a container that asks for nothing: thousandths of a core, bytes.
USUAL = {"cpu": 0.05, "memory": 96 * 2**20}
# The load goes up and down once in so many seconds.
WAVE_SECONDS = 600.0
WINDOW = "15.0s"


def answer(store: Store, method: str, target: Target, *, labels: str) -> Object:
    """One, or a list, of what is used.

    Raises:
        ApiError: 404 for what is not there or does not run, 405 for a write.
    """
    if target.version != VERSION or target.plural not in {"pods", "nodes"} or target.subresource:
        raise unknown_path()
    if method not in {"GET", "HEAD"}:
        raise method_not_allowed()
    kind = kinds.PODS if target.plural == "pods" else kinds.NODES
    found = store.every(kind, target.namespace)
    if target.name:
        found = [each for each in found if each["metadata"]["name"] == target.name]
    else:
        found = list(filter(labels_match(labels), found))
    items = _pods(found) if kind is kinds.PODS else _nodes(found, store.every(kinds.PODS))
    if target.name and not items:
        raise not_found(kind, target.name)
    if target.name:
        return {"kind": f"{kind.kind}Metrics", "apiVersion": f"{GROUP}/{VERSION}", **items[0]}
    return {
        "kind": f"{kind.kind}MetricsList",
        "apiVersion": f"{GROUP}/{VERSION}",
        "metadata": {},
        "items": items,
    }


def _pods(pods: Iterable[Object]) -> list[Object]:
    """Only what runs is measured."""
    return [
        {
            **_about(pod),
            "containers": [
                {"name": each["name"], "usage": _written(_usage(pod, each))} for each in _running(pod)
            ],
        }
        for pod in pods
        if _running(pod)
    ]


def _nodes(nodes: Iterable[Object], pods: list[Object]) -> list[Object]:
    return [
        {
            **_about(node),
            "usage": _written(
                _sum(
                    _usage(pod, each)
                    for pod in pods
                    if pod["spec"].get("nodeName") == node["metadata"]["name"]
                    for each in _running(pod)
                )
            ),
        }
        for node in nodes
    ]


def _about(item: Object) -> Object:
    known = item["metadata"]
    named = {key: known[key] for key in ("name", "namespace", "labels") if known.get(key)}
    stamp = clock.stamp()
    return {"metadata": {**named, "creationTimestamp": stamp}, "timestamp": stamp, "window": WINDOW}


def _running(pod: Object) -> list[Object]:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    names = {each["name"] for each in statuses if (each.get("state") or {}).get("running")}
    return [each for each in pod["spec"]["containers"] if each["name"] in names]


def _usage(pod: Object, container: Object) -> dict[str, float]:
    """A third to four fifths of what it asks for, by a wave of its own."""
    resources = container.get("resources") or {}
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    seed = hashlib.sha256(f"{pod['metadata']['uid']}/{container['name']}".encode()).digest()
    turn = clock.now().timestamp() / WAVE_SECONDS + seed[0] / 256
    share = 0.55 + 0.2 * math.sin(2 * math.pi * turn)
    return {name: share * float(parse_quantity(asked.get(name, usual))) for name, usual in USUAL.items()}


def _sum(usages: Iterable[dict[str, float]]) -> dict[str, float]:
    found = list(usages)
    return {name: sum(each[name] for each in found) for name in USUAL}


def _written(usage: dict[str, float]) -> dict[str, str]:
    return {"cpu": f"{round(usage['cpu'] * 10**9)}n", "memory": f"{round(usage['memory'] / 1024)}Ki"}
