"""The Table answers from which `kubectl get` prints its columns."""

from collections.abc import Callable, Iterable
from typing import Any

from portal.embedded.cluster import clock
from portal.embedded.cluster.kinds import Kind
from portal.embedded.cluster.selectors import selector_text

Object = dict[str, Any]
Cell = Callable[[Object], Any]
Column = tuple[str, str, int, Cell]


def duration(seconds: float) -> str:
    """An age as kubectl writes it, such as `45s`, `3m20s`, `5h`, `2d`."""
    whole = max(int(seconds), 0)
    if whole < 120:
        return f"{whole}s"
    if whole < 600:
        return f"{whole // 60}m{whole % 60}s" if whole % 60 else f"{whole // 60}m"
    if whole < 3 * 3600:
        return f"{whole // 60}m"
    if whole < 8 * 3600:
        return f"{whole // 3600}h{whole // 60 % 60}m"
    return f"{whole // 3600}h" if whole < 48 * 3600 else f"{whole // 86400}d"


def _age(item: Object) -> str:
    return duration(clock.age(item["metadata"].get("creationTimestamp")))


def _at(path: str, default: Any = "") -> Cell:
    def cell(item: Object) -> Any:
        value: Any = item
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return default if value is None else value

    return cell


def _count(path: str) -> Cell:
    counted = _at(path, {})
    return lambda item: len(counted(item))


def _of(part: str, whole: str) -> Cell:
    first, second = _at(part, 0), _at(whole, 0)
    return lambda item: f"{first(item)}/{second(item)}"


def _containers(item: Object) -> list[Object]:
    template = item["spec"].get("template") or item["spec"].get("jobTemplate", {}).get("spec", {}).get(
        "template"
    )
    found: list[Object] = (template or item)["spec"]["containers"]
    return found


def _names(item: Object) -> str:
    return ",".join(container["name"] for container in _containers(item))


def _images(item: Object) -> str:
    return ",".join(container["image"] for container in _containers(item))


def _selector(item: Object) -> str:
    return selector_text(item["spec"].get("selector"))


def _pod_reason(item: Object) -> str:
    """The word for a pod's state: what is wrong with a container outweighs the phase."""
    status = item.get("status", {})
    word = status.get("reason") or status.get("phase", "Unknown")
    init = status.get("initContainerStatuses") or []
    for index, entry in enumerate(init):
        state = entry.get("state", {})
        if state.get("terminated", {}).get("exitCode") == 0:
            continue
        detail = state.get("waiting", state.get("terminated", {})).get("reason")
        waits = detail and detail != "PodInitializing"
        return f"Init:{detail}" if waits else f"Init:{index}/{len(init)}"
    for entry in reversed(status.get("containerStatuses") or []):
        state = entry.get("state", {})
        word = state.get("waiting", {}).get("reason") or state.get("terminated", {}).get("reason") or word
    return "Terminating" if "deletionTimestamp" in item["metadata"] else str(word)


def _pod_ready(item: Object) -> str:
    statuses = item.get("status", {}).get("containerStatuses") or []
    return f"{sum(entry['ready'] for entry in statuses)}/{len(item['spec']['containers'])}"


def _pod_restarts(item: Object) -> str:
    return str(sum(entry["restartCount"] for entry in item.get("status", {}).get("containerStatuses") or []))


def _ports(item: Object) -> str:
    return (
        ",".join(f"{port['port']}/{port['protocol']}" for port in item["spec"].get("ports") or []) or "<none>"
    )


def _endpoints(item: Object) -> str:
    found = [
        f"{address['ip']}:{port['port']}"
        for subset in item.get("subsets") or []
        for address in subset.get("addresses") or []
        for port in subset.get("ports") or []
    ]
    shown = ",".join(found[:3])
    return (f"{shown} + {len(found) - 3} more..." if len(found) > 3 else shown) or "<none>"


def _slice_endpoints(item: Object) -> str:
    found = [address for entry in item.get("endpoints") or [] for address in entry["addresses"]]
    return ",".join(found[:3]) or "<unset>"


def _event_time(item: Object) -> str:
    found = item.get("lastTimestamp") or item.get("eventTime") or item["metadata"]["creationTimestamp"]
    return str(found)


def _event_object(item: Object) -> str:
    involved = item["involvedObject"]
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def _job_state(item: Object) -> str:
    for entry in item.get("status", {}).get("conditions") or []:
        if entry["status"] == "True" and entry["type"] in ("Complete", "Failed", "Suspended"):
            return str(entry["type"])
    return "Running"


def _job_duration(item: Object) -> str:
    status = item.get("status", {})
    if "startTime" not in status:
        return ""
    end = clock.parse(status["completionTime"]) if "completionTime" in status else clock.now()
    return duration((end - clock.parse(status["startTime"])).total_seconds())


def _node_state(item: Object) -> str:
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in item["status"].get("conditions", []))
    word = "Ready" if ready else "NotReady"
    return f"{word},SchedulingDisabled" if item.get("spec", {}).get("unschedulable") else word


def _autoscaler_target(item: Object) -> str:
    target = item["spec"]["scaleTargetRef"]
    return f"{target['kind']}/{target['name']}"


def _role(item: Object) -> str:
    return f"{item['roleRef']['kind']}/{item['roleRef']['name']}"


def _pairs(path: str) -> Cell:
    found = _at(path, {})
    return lambda item: ", ".join(f"{key}: {value}" for key, value in found(item).items())


def _quota_cell(item: Object) -> str:
    used = item.get("status", {}).get("used") or {}
    hard = item.get("spec", {}).get("hard") or {}
    return ", ".join(f"{name}: {used.get(name, 0)}/{limit}" for name, limit in hard.items())


def _controller(item: Object) -> str:
    owners = item["metadata"].get("ownerReferences") or []
    return f"{owners[0]['kind'].lower()}.apps/{owners[0]['name']}" if owners else "<none>"


WIDE = 1
TEMPLATE: tuple[Column, ...] = (("Containers", "string", WIDE, _names), ("Images", "string", WIDE, _images))
SELECTED: tuple[Column, ...] = (*TEMPLATE, ("Selector", "string", WIDE, _selector))
AGE: Column = ("Age", "string", 0, _age)

COLUMNS: dict[str, tuple[Column, ...]] = {
    "Pod": (
        ("Ready", "string", 0, _pod_ready),
        ("Status", "string", 0, _pod_reason),
        ("Restarts", "string", 0, _pod_restarts),
        AGE,
        ("IP", "string", WIDE, _at("status.podIP", "<none>")),
        ("Node", "string", WIDE, _at("spec.nodeName", "<none>")),
        ("Nominated Node", "string", WIDE, _at("status.nominatedNodeName", "<none>")),
        ("Readiness Gates", "string", WIDE, lambda _: "<none>"),
    ),
    "Deployment": (
        ("Ready", "string", 0, _of("status.readyReplicas", "spec.replicas")),
        ("Up-to-date", "integer", 0, _at("status.updatedReplicas", 0)),
        ("Available", "integer", 0, _at("status.availableReplicas", 0)),
        AGE,
        *SELECTED,
    ),
    "HTTPRoute": (("Hostnames", "string", 0, _at("spec.hostnames", "")), AGE),
    "Rollout": (
        ("Desired", "integer", 0, _at("spec.replicas", 0)),
        ("Current", "integer", 0, _at("status.replicas", 0)),
        ("Up-to-date", "integer", 0, _at("status.updatedReplicas", 0)),
        ("Available", "integer", 0, _at("status.availableReplicas", 0)),
        AGE,
    ),
    "ReplicaSet": (
        ("Desired", "integer", 0, _at("spec.replicas", 0)),
        ("Current", "integer", 0, _at("status.replicas", 0)),
        ("Ready", "integer", 0, _at("status.readyReplicas", 0)),
        AGE,
        *SELECTED,
    ),
    "StatefulSet": (("Ready", "string", 0, _of("status.readyReplicas", "spec.replicas")), AGE, *TEMPLATE),
    "DaemonSet": (
        ("Desired", "integer", 0, _at("status.desiredNumberScheduled", 0)),
        ("Current", "integer", 0, _at("status.currentNumberScheduled", 0)),
        ("Ready", "integer", 0, _at("status.numberReady", 0)),
        ("Up-to-date", "integer", 0, _at("status.updatedNumberScheduled", 0)),
        ("Available", "integer", 0, _at("status.numberAvailable", 0)),
        AGE,
        *SELECTED,
    ),
    "Service": (
        ("Type", "string", 0, _at("spec.type")),
        ("Cluster-IP", "string", 0, _at("spec.clusterIP", "<none>")),
        ("External-IP", "string", 0, lambda _: "<none>"),
        ("Port(s)", "string", 0, _ports),
        AGE,
        ("Selector", "string", WIDE, _pairs("spec.selector")),
    ),
    "Endpoints": (("Endpoints", "string", 0, _endpoints), AGE),
    "EndpointSlice": (
        ("AddressType", "string", 0, _at("addressType")),
        ("Ports", "string", 0, lambda item: ",".join(str(p.get("port")) for p in item.get("ports") or [])),
        ("Endpoints", "string", 0, _slice_endpoints),
        AGE,
    ),
    "ConfigMap": (("Data", "string", 0, _count("data")), AGE),
    "Secret": (("Type", "string", 0, _at("type")), ("Data", "string", 0, _count("data")), AGE),
    "ServiceAccount": (("Secrets", "string", 0, lambda item: len(item.get("secrets") or [])), AGE),
    "Namespace": (("Status", "string", 0, _at("status.phase")), AGE),
    "Node": (
        ("Status", "string", 0, _node_state),
        ("Roles", "string", 0, lambda _: "<none>"),
        AGE,
        ("Version", "string", 0, _at("status.nodeInfo.kubeletVersion")),
    ),
    "Event": (
        ("Last Seen", "string", 0, lambda item: duration(clock.age(_event_time(item)))),
        ("Type", "string", 0, _at("type")),
        ("Reason", "string", 0, _at("reason")),
        ("Object", "string", 0, _event_object),
        ("Message", "string", 0, _at("message")),
    ),
    "Job": (
        ("Status", "string", 0, _job_state),
        ("Completions", "string", 0, _of("status.succeeded", "spec.completions")),
        ("Duration", "string", 0, _job_duration),
        AGE,
        *SELECTED,
    ),
    "CronJob": (
        ("Schedule", "string", 0, _at("spec.schedule")),
        ("Timezone", "string", 0, _at("spec.timeZone", "<none>")),
        ("Suspend", "boolean", 0, _at("spec.suspend")),
        ("Active", "integer", 0, lambda item: len(item.get("status", {}).get("active") or [])),
        ("Last Schedule", "string", 0, _at("status.lastScheduleTime", "<none>")),
        AGE,
    ),
    "HorizontalPodAutoscaler": (
        ("Reference", "string", 0, _autoscaler_target),
        ("Targets", "string", 0, lambda _: "<unknown>"),
        ("MinPods", "string", 0, _at("spec.minReplicas", "1")),
        ("MaxPods", "string", 0, _at("spec.maxReplicas", "1")),
        ("Replicas", "string", 0, _at("status.currentReplicas", 0)),
        AGE,
    ),
    "ResourceQuota": (
        ("Request", "string", 0, _quota_cell),
        ("Limit", "string", 0, lambda _: ""),
        AGE,
    ),
    "PodDisruptionBudget": (
        ("Min Available", "string", 0, _at("spec.minAvailable", "N/A")),
        ("Max Unavailable", "string", 0, _at("spec.maxUnavailable", "N/A")),
        ("Allowed Disruptions", "integer", 0, _at("status.disruptionsAllowed", 0)),
        AGE,
    ),
    "ControllerRevision": (
        ("Controller", "string", 0, _controller),
        ("Revision", "string", 0, _at("revision")),
        AGE,
    ),
    "RoleBinding": (("Role", "string", 0, _role), AGE),
    "ClusterRoleBinding": (("Role", "string", 0, _role), AGE),
    "Role": (("Created At", "date", 0, _at("metadata.creationTimestamp")),),
    "ClusterRole": (("Created At", "date", 0, _at("metadata.creationTimestamp")),),
}


def table(kind: Kind, items: Iterable[Object], *, metadata: Object, include: str = "Metadata") -> Object:
    """A Table of objects; `include` says how much of each object comes along (None, Metadata, Object)."""
    columns: tuple[Column, ...] = COLUMNS.get(kind.kind, (AGE,))
    if kind.kind != "Event":
        columns = (("Name", "string", 0, _at("metadata.name")), *columns)
    definitions = [
        {
            "name": name,
            "type": type_,
            "format": "name" if name == "Name" else "",
            "description": name,
            "priority": priority,
        }
        for name, type_, priority, _ in columns
    ]
    rows = [
        {"cells": [cell(item) for *_, cell in columns], "object": _included(kind, item, include)}
        for item in items
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    }


def _included(kind: Kind, item: Object, include: str) -> Object | None:
    if include == "None":
        return None
    if include == "Object":
        return {"kind": kind.kind, "apiVersion": kind.api_version, **item}
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}
