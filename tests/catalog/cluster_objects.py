"""Objects as an API server lists them, with only what a test is about."""

from typing import Any

Json = dict[str, Any]


def workload(
    name: str,
    *containers: Json,
    kind: str = "Deployment",
    labels: dict[str, str] | None = None,
    init: tuple[Json, ...] = (),
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> Json:
    labels = labels or {"app": name}
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "annotations": annotations or {}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": list(containers), "initContainers": list(init)},
            },
            **spec,
        },
    }


def container(name: str, image: str, *, port: int | None = 8080, probe: str | None = "/health") -> Json:
    made: Json = {"name": name, "image": image}
    if port:
        made["ports"] = [{"name": "http", "containerPort": port}]
    if probe and port:
        made["readinessProbe"] = {"httpGet": {"path": probe, "port": "http"}}
    return made


def service(name: str, selector: dict[str, str], *, port: int = 80, target: object = "http") -> Json:
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "clusterIP": "10.0.0.7",
            "selector": selector,
            "ports": [{"port": port, "targetPort": target}],
        },
    }


def autoscaler(name: str, target: str, *, low: int = 2, high: int = 6) -> Json:
    return {
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "minReplicas": low,
            "maxReplicas": high,
        },
    }


def listed(*objects: Json, **more: list[Json]) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    for each in objects:
        found.setdefault(each.get("kind", "Service"), []).append(each)
    return {**found, **more}
