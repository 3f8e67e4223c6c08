"""The values that the API fills in where a manifest says nothing."""

from collections.abc import Callable
from typing import Any

Object = dict[str, Any]

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
NODE_PORT_TYPES = ("NodePort", "LoadBalancer")


def fill(kind: str, item: Object) -> None:
    """Complete a new or changed object of the kind named, in place."""
    filler = FILLERS.get(kind)
    if filler is not None:
        filler(item)


def _pod(item: Object) -> None:
    pod_spec(item.setdefault("spec", {}))
    spec = item["spec"]
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", 0)
    spec.setdefault("serviceAccountName", "default")
    spec.setdefault("serviceAccount", spec["serviceAccountName"])


def pod_spec(spec: Object) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    if "serviceAccountName" in spec:
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    for container in [*spec.get("containers", []), *spec.get("initContainers", [])]:
        _container(container)
    for volume in spec.get("volumes", []):
        _volume(volume)


def _container(container: Object) -> None:
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("resources", {})
    image = container.get("image", "")
    if image:
        container.setdefault("imagePullPolicy", "Always" if _is_latest(image) else "IfNotPresent")
    for port in container.get("ports", []):
        port.setdefault("protocol", "TCP")
    for name in PROBES:
        if name in container:
            _probe(container[name])
    for variable in container.get("env", []):
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            reference.setdefault("apiVersion", "v1")
    for source, names in container["resources"].items():
        if source == "limits" and isinstance(names, dict):
            requests = container["resources"].get("requests") or {}
            container["resources"]["requests"] = {**names, **requests}
            break


def _is_latest(image: str) -> bool:
    if "@" in image:
        return False
    name = image.rpartition("/")[2]
    return ":" not in name or name.endswith(":latest")


def _probe(probe: Object) -> None:
    for name, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        probe.setdefault(name, value)
    if "httpGet" in probe:
        probe["httpGet"].setdefault("path", "/")
        probe["httpGet"].setdefault("scheme", "HTTP")


def _volume(volume: Object) -> None:
    for name in ("configMap", "secret", "projected", "downwardAPI"):
        if name in volume:
            volume[name].setdefault("defaultMode", 420)
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}


def _template(spec: Object) -> None:
    template = spec.setdefault("template", {})
    pod_spec(template.setdefault("spec", {}))
    template.setdefault("metadata", {})


def _deployment(item: Object) -> None:
    spec = item.setdefault("spec", {})
    _template(spec)
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")


def _replica_set(item: Object) -> None:
    spec = item.setdefault("spec", {})
    if "template" in spec:
        _template(spec)
    spec.setdefault("replicas", 1)


def _stateful_set(item: Object) -> None:
    spec = item.setdefault("spec", {})
    _template(spec)
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    spec.setdefault("persistentVolumeClaimRetentionPolicy", {"whenDeleted": "Retain", "whenScaled": "Retain"})
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)


def _daemon_set(item: Object) -> None:
    spec = item.setdefault("spec", {})
    _template(spec)
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)


def _job(item: Object) -> None:
    spec = item.setdefault("spec", {})
    _job_spec(spec)
    # Filled in on the way in, where the object already has its identity.
    uid, name = item["metadata"].get("uid"), item["metadata"].get("name")
    if uid and not spec.get("manualSelector") and "selector" not in spec:
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        labels = spec["template"]["metadata"].setdefault("labels", {})
        for prefix in ("", "batch.kubernetes.io/"):
            labels[f"{prefix}controller-uid"] = uid
            labels[f"{prefix}job-name"] = name
    item["metadata"].setdefault("labels", dict(spec["template"]["metadata"].get("labels") or {}))


def _job_spec(spec: Object) -> None:
    restart = (spec.get("template", {}).get("spec") or {}).get("restartPolicy")
    _template(spec)
    if restart is None:
        spec["template"]["spec"]["restartPolicy"] = "Always"
    spec.setdefault("parallelism", 1)
    spec.setdefault("completions", 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec.setdefault("podReplacementPolicy", "TerminatingOrFailed")


def _cron_job(item: Object) -> None:
    spec = item.setdefault("spec", {})
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    inner = spec.setdefault("jobTemplate", {}).setdefault("spec", {})
    _template(inner)


def _service(item: Object) -> None:
    spec = item.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    for port in spec.get("ports", []):
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    item.setdefault("status", {"loadBalancer": {}})


def _secret(item: Object) -> None:
    item.setdefault("type", "Opaque")


def _namespace(item: Object) -> None:
    spec = item.setdefault("spec", {})
    spec.setdefault("finalizers", ["kubernetes"])
    item.setdefault("status", {}).setdefault("phase", "Active")
    labels = item["metadata"].setdefault("labels", {})
    labels.setdefault("kubernetes.io/metadata.name", item["metadata"].get("name", ""))


def _autoscaler(item: Object) -> None:
    item.setdefault("spec", {}).setdefault("minReplicas", 1)
    if not item["spec"].get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        item["spec"]["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def _http_route(item: Object) -> None:
    """What the definition of HTTPRoutes fills in."""
    spec = item.setdefault("spec", {})
    spec.setdefault("rules", [{}])
    for parent in spec.get("parentRefs", []):
        parent.setdefault("group", "gateway.networking.k8s.io")
        parent.setdefault("kind", "Gateway")
    for rule in spec["rules"]:
        rule.setdefault("matches", [{"path": {"type": "PathPrefix", "value": "/"}}])
        for backend in rule.get("backendRefs", []):
            backend.setdefault("group", "")
            backend.setdefault("kind", "Service")
            backend.setdefault("weight", 1)


def _binding(item: Object) -> None:
    item.get("roleRef", {}).setdefault("apiGroup", "rbac.authorization.k8s.io")
    for subject in item.get("subjects", []):
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", "rbac.authorization.k8s.io")


FILLERS: dict[str, Callable[[Object], None]] = {
    "HTTPRoute": _http_route,
    "Pod": _pod,
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "CronJob": _cron_job,
    "Service": _service,
    "Secret": _secret,
    "Namespace": _namespace,
    "HorizontalPodAutoscaler": _autoscaler,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
}
