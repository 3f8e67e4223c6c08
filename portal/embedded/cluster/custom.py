"""Fields of the custom resources that the practice cluster serves: what their definitions declare.

The definitions prune unknown fields; what some of them fill in is in `defaults`. Parts that are `object`
here are kept as they come.
"""

from typing import Any

Fields = dict[str, dict[str, Any]]

TEXT = {"type": "str"}
NUMBER = {"type": "int"}
FLAG = {"type": "bool"}
FREE = {"type": "object"}


def _whole(**halves: dict[str, Any]) -> Fields:
    return {"apiVersion": TEXT, "kind": TEXT, "metadata": {"model": "V1ObjectMeta"}, **halves}


MODELS: dict[str, Fields] = {
    # kubernetes-sigs/gateway-api v1.4.0: config/crd/standard/gateway.networking.k8s.io_httproutes.yaml
    "HTTPRoute": _whole(spec={"model": "HTTPRouteSpec", "required": True}, status=FREE),
    "HTTPRouteSpec": {
        "hostnames": {"list": TEXT},
        "parentRefs": {"list": {"model": "HTTPRouteParent"}},
        "rules": {"list": {"model": "HTTPRouteRule"}},
    },
    "HTTPRouteParent": {
        "group": TEXT,
        "kind": TEXT,
        "name": {"type": "str", "required": True},
        "namespace": TEXT,
        "port": NUMBER,
        "sectionName": TEXT,
    },
    "HTTPRouteRule": {
        "backendRefs": {"list": {"model": "HTTPRouteBackend"}},
        "filters": {"list": FREE},
        "matches": {"list": FREE},
        "name": TEXT,
        "timeouts": FREE,
    },
    "HTTPRouteBackend": {
        "filters": {"list": FREE},
        "group": TEXT,
        "kind": TEXT,
        "name": {"type": "str", "required": True},
        "namespace": TEXT,
        "port": NUMBER,
        "weight": NUMBER,
    },
    # argoproj/argo-rollouts v1.10.1: manifests/crds/rollout-crd.yaml
    "ArgoRollout": _whole(spec={"model": "ArgoRolloutSpec", "required": True}, status=FREE),
    "ArgoRolloutSpec": {
        "analysis": FREE,
        "minReadySeconds": NUMBER,
        "paused": FLAG,
        "progressDeadlineAbort": FLAG,
        "progressDeadlineSeconds": NUMBER,
        "replicas": NUMBER,
        "restartAt": TEXT,
        "revisionHistoryLimit": NUMBER,
        "rollbackWindow": FREE,
        "selector": {"model": "V1LabelSelector"},
        "strategy": {"model": "ArgoRolloutStrategy"},
        "template": {"model": "V1PodTemplateSpec"},
        "workloadRef": {"model": "ArgoWorkloadReference"},
    },
    "ArgoRolloutStrategy": {"blueGreen": FREE, "canary": FREE},
    "ArgoWorkloadReference": {"apiVersion": TEXT, "kind": TEXT, "name": TEXT, "scaleDown": TEXT},
    # argoproj/argo-cd v3.2.0: manifests/crds/application-crd.yaml
    "ArgoApplication": _whole(
        spec={"model": "ArgoApplicationSpec", "required": True}, status=FREE, operation=FREE
    ),
    "ArgoApplicationSpec": {
        "destination": {"type": "object", "required": True},
        "project": {"type": "str", "required": True},
        "source": FREE,
        "sources": FREE,
        "sourceHydrator": FREE,
        "syncPolicy": FREE,
        "ignoreDifferences": FREE,
        "info": FREE,
        "revisionHistoryLimit": NUMBER,
    },
}
