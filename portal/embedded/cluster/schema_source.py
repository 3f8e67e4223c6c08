"""Writes `schema.json`, the fields of the served kinds, from the models of the Python client.

Run it with `python -m portal.embedded.cluster.schema_source` when the client's version changes.
"""

import json
import re
from pathlib import Path
from typing import Any

from kubernetes import client

from portal.embedded.cluster.kinds import KINDS

TARGET = Path(__file__).with_name("schema.json")
SIMPLE = {"str", "int", "bool", "float", "datetime", "object", "bytearray", "bytes", "date"}
EXTRA_MODELS = ("V1Scale", "V1SelfSubjectAccessReview", "AuthenticationV1TokenRequest", "V1Eviction")

# Merge keys of strategic patches, as the types of Kubernetes declare them (patchMergeKey in k8s.io/api).
MERGE_KEYS = {
    "V1ObjectMeta.ownerReferences": "uid",
    "V1PodSpec.containers": "name",
    "V1PodSpec.initContainers": "name",
    "V1PodSpec.ephemeralContainers": "name",
    "V1PodSpec.volumes": "name",
    "V1PodSpec.imagePullSecrets": "name",
    "V1PodSpec.hostAliases": "ip",
    "V1PodSpec.topologySpreadConstraints": "topologyKey",
    "V1Container.ports": "containerPort",
    "V1Container.env": "name",
    "V1Container.volumeMounts": "mountPath",
    "V1Container.volumeDevices": "devicePath",
    "V1ServiceSpec.ports": "port",
    "V1ServiceAccount.secrets": "name",
    "V1ServiceAccount.imagePullSecrets": "name",
    "V1PodStatus.conditions": "type",
    "V1PodStatus.podIPs": "ip",
    "V1DeploymentStatus.conditions": "type",
    "V1ReplicaSetStatus.conditions": "type",
    "V1StatefulSetStatus.conditions": "type",
    "V1DaemonSetStatus.conditions": "type",
    "V1JobStatus.conditions": "type",
    "V1NodeStatus.conditions": "type",
    "V1NodeStatus.addresses": "type",
    "V1NodeSpec.taints": "key",
    "V1NamespaceStatus.conditions": "type",
    "V1ServiceStatus.conditions": "type",
    "V1PodDisruptionBudgetStatus.conditions": "type",
    "V2HorizontalPodAutoscalerStatus.conditions": "type",
}
# Where server-side apply tells list items apart by more than the merge key (listMapKeys in k8s.io/api).
LIST_KEYS = {
    "V1Container.ports": ["containerPort", "protocol"],
    "V1ServiceSpec.ports": ["port", "protocol"],
    "V1PodSpec.topologySpreadConstraints": ["topologyKey", "whenUnsatisfiable"],
}
SETS = {"V1ObjectMeta.finalizers", "V1PersistentVolumeClaimSpec.accessModes", "V1NodeSpec.podCIDRs"}


def field_type(text: str) -> tuple[dict[str, Any], str | None]:
    """Describe one type of the client, such as `list[V1Container]`, and name the model it leads to."""
    if found := re.fullmatch(r"[Ll]ist\[(.+)\]", text):
        inner, model = field_type(found[1])
        return {"list": inner}, model
    if found := re.fullmatch(r"[Dd]ict(?:\(|\[)str, (.+)(?:\)|\])", text):
        inner, model = field_type(found[1])
        return {"map": inner}, model
    if text in SIMPLE:
        return {"type": text}, None
    return {"model": text}, text


def describe(model: str) -> tuple[dict[str, Any], set[str]]:
    """The fields of one model by their names on the wire, and the models they lead to."""
    source = getattr(client, model)
    fields: dict[str, Any] = {}
    leads: set[str] = set()
    for attribute, text in source.openapi_types.items():
        name = source.attribute_map[attribute]
        shape, lead = field_type(text)
        if lead:
            leads.add(lead)
        path = f"{model}.{name}"
        if path in MERGE_KEYS:
            shape["merge"] = MERGE_KEYS[path]
            shape["keys"] = LIST_KEYS.get(path, [MERGE_KEYS[path]])
        if path in SETS:
            shape["set"] = True
        python_name = f"var{attribute}" if attribute.startswith("_") else attribute
        if source.model_fields[python_name].is_required():
            shape["required"] = True
        fields[name] = shape
    return fields, leads


def collect() -> dict[str, Any]:
    """Every model reachable from the served kinds."""
    found: dict[str, Any] = {}
    waiting = {kind.model for kind in KINDS if not kind.custom} | set(EXTRA_MODELS)
    while waiting:
        model = waiting.pop()
        found[model], leads = describe(model)
        waiting |= leads - set(found)
    return dict(sorted(found.items()))


if __name__ == "__main__":
    TARGET.write_text(json.dumps(collect(), separators=(",", ":"), sort_keys=True) + "\n")
