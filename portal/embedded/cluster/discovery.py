"""What a client learns before its first real request: version, groups, resources."""

from typing import Any

from portal.embedded.cluster import metrics
from portal.embedded.cluster.kinds import KINDS, REVIEW_GROUP, Kind

GIT_VERSION = "v1.36.1"
VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": GIT_VERSION,
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "practice",
    "compiler": "practice",
    "platform": "linux/amd64",
}
SCALE = {"kind": "Scale", "group": "autoscaling", "version": "v1", "verbs": ["get", "patch", "update"]}
SUBRESOURCES: dict[str, dict[str, Any]] = {
    "scale": SCALE,
    "log": {"kind": "Pod", "verbs": ["get"]},
    "proxy": {"kind": "PodProxyOptions", "verbs": ["create", "delete", "get", "patch", "update"]},
    "eviction": {"kind": "Eviction", "group": "policy", "version": "v1", "verbs": ["create"]},
    "token": {"kind": "TokenRequest", "group": "authentication.k8s.io", "version": "v1", "verbs": ["create"]},
    "finalize": {"verbs": ["update"]},
    "status": {"verbs": ["get", "patch", "update"]},
}
# Resources that are only asked, never kept.
QUESTIONS: dict[tuple[str, str], list[dict[str, Any]]] = {
    (REVIEW_GROUP, "v1"): [
        {"name": "selfsubjectaccessreviews", "kind": "SelfSubjectAccessReview"},
        {"name": "selfsubjectrulesreviews", "kind": "SelfSubjectRulesReview"},
    ],
    ("authentication.k8s.io", "v1"): [{"name": "selfsubjectreviews", "kind": "SelfSubjectReview"}],
}


def group_versions() -> list[tuple[str, str]]:
    found = {(kind.group, kind.version): None for kind in KINDS if kind.group}
    return sorted([*found, *QUESTIONS, (metrics.GROUP, metrics.VERSION)])


def core_versions() -> dict[str, Any]:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def group(name: str, version: str) -> dict[str, Any]:
    both = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [both], "preferredVersion": both}


def group_list() -> dict[str, Any]:
    groups = [group(name, version) for name, version in group_versions()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def resource_list(name: str, version: str) -> dict[str, Any] | None:
    """The resources of one group and version, None where there are none."""
    resources: list[dict[str, Any]] = []
    for kind in KINDS:
        if (kind.group, kind.version) == (name, version):
            resources.extend(_resources(kind))
    for question in QUESTIONS.get((name, version), []):
        resources.append({**question, "singularName": "", "namespaced": False, "verbs": ["create"]})
    if (name, version) == (metrics.GROUP, metrics.VERSION):
        resources = metrics.RESOURCES
    if not resources:
        return None
    full = f"{name}/{version}" if name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": full, "resources": resources}


def _resources(kind: Kind) -> list[dict[str, Any]]:
    main: dict[str, Any] = {
        "name": kind.plural,
        "singularName": kind.kind.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short:
        main["shortNames"] = list(kind.short)
    if kind.categories:
        main["categories"] = list(kind.categories)
    below = [
        {
            "name": f"{kind.plural}/{name}",
            "singularName": "",
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            **SUBRESOURCES[name],
        }
        for name in kind.subresources
    ]
    return [main, *below]
