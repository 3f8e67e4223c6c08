"""What a client learns about the server before its first real request."""

import pytest

from tests.cluster.api import Json
from tests.cluster.conftest import Cluster

READ = {"get", "list", "watch"}
CHANGE = READ | {"create", "delete", "patch", "update"}

RESOURCES = [
    ("api/v1", "namespaces", "Namespace", False, CHANGE - {"update"}),
    ("api/v1", "pods", "Pod", True, READ | {"delete"}),
    ("api/v1", "services", "Service", True, CHANGE),
    ("api/v1", "configmaps", "ConfigMap", True, CHANGE),
    ("api/v1", "events", "Event", True, READ),
    ("api/v1", "resourcequotas", "ResourceQuota", True, READ | {"create"}),
    ("apis/apps/v1", "deployments", "Deployment", True, CHANGE),
    ("apis/apps/v1", "replicasets", "ReplicaSet", True, READ),
    ("apis/apps/v1", "statefulsets", "StatefulSet", True, CHANGE),
    ("apis/batch/v1", "jobs", "Job", True, READ | {"create", "delete"}),
    ("apis/autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", True, READ | {"create"}),
    ("apis/discovery.k8s.io/v1", "endpointslices", "EndpointSlice", True, READ),
]
SHORT_NAMES = [
    ("api/v1", "pods", "po"),
    ("api/v1", "services", "svc"),
    ("apis/apps/v1", "deployments", "deploy"),
]


def test_the_version_says_which_kubernetes_this_is(cluster: Cluster) -> None:
    version = cluster.admin.get("version")
    assert version["gitVersion"].startswith("v1.")
    assert version["major"] == "1"
    assert int(version["minor"].rstrip("+")) >= 30


def test_the_server_says_that_it_is_ready(cluster: Cluster) -> None:
    assert cluster.admin.ask("GET", "readyz").code == 200


def test_the_core_version_and_the_groups_are_listed(cluster: Cluster) -> None:
    assert "v1" in cluster.admin.get("api")["versions"]
    groups = {group["name"]: group["preferredVersion"]["groupVersion"] for group in _groups(cluster)}
    wanted = {"apps": "apps/v1", "batch": "batch/v1", "autoscaling": "autoscaling/v2"}
    assert wanted.items() <= groups.items()
    assert "authorization.k8s.io" in groups


@pytest.mark.parametrize(("path", "plural", "kind", "namespaced", "verbs"), RESOURCES)
def test_a_resource_is_listed_with_its_verbs(
    cluster: Cluster, path: str, plural: str, kind: str, namespaced: bool, verbs: set[str]
) -> None:
    found = next(each for each in cluster.admin.get(path)["resources"] if each["name"] == plural)
    assert found["kind"] == kind
    assert found["namespaced"] is namespaced
    assert verbs <= set(found["verbs"])


@pytest.mark.parametrize(("path", "plural", "short"), SHORT_NAMES)
def test_short_names_are_told(cluster: Cluster, path: str, plural: str, short: str) -> None:
    found = next(each for each in cluster.admin.get(path)["resources"] if each["name"] == plural)
    assert short in found["shortNames"]


def test_scale_is_a_subresource_of_another_group(cluster: Cluster) -> None:
    resources = {each["name"]: each for each in cluster.admin.get("apis/apps/v1")["resources"]}
    scale = resources["deployments/scale"]
    assert (scale["group"], scale["version"], scale["kind"]) == ("autoscaling", "v1", "Scale")


def test_the_schema_promises_server_side_validation_of_patches(cluster: Cluster) -> None:
    index = cluster.admin.get("openapi/v3")["paths"]
    document = cluster.admin.get(index["apis/apps/v1"]["serverRelativeURL"].lstrip("/"))
    paths = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    parameters = [*paths["patch"].get("parameters", []), *paths.get("parameters", [])]
    assert "fieldValidation" in {each.get("name") for each in parameters}


def _groups(cluster: Cluster) -> list[Json]:
    return list(cluster.admin.get("apis")["groups"])
