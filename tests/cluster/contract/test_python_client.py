"""The official Python client reads every kind through its strict models, and watches."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, config, watch

from tests.cluster.conftest import Cluster
from tests.cluster.contract.autoscaling import autoscaler
from tests.cluster.objects import Space, deployment, failing, job, service, stateful_set, wait_for
from tests.soak import long


@pytest.fixture
def python_client(cluster: Cluster) -> Iterator[client.ApiClient]:
    load: Any = config.new_client_from_config
    with load(config_file=str(cluster.kubeconfig_path)) as made:
        yield made


@long
def test_workloads_and_what_they_make_are_read(space: Space, python_client: client.ApiClient) -> None:
    space.create(deployment("web", replicas=2))
    space.create(stateful_set("store"))
    space.create(service("web", selector={"app": "web"}))
    space.wait_until_done("web")
    apps: Any = client.AppsV1Api(python_client)
    core: Any = client.CoreV1Api(python_client)
    seen = apps.read_namespaced_deployment("web", space.name)
    assert seen.status.available_replicas == 2
    sets = apps.list_namespaced_replica_set(space.name).items
    assert [each.metadata.owner_references[0].uid for each in sets] == [seen.metadata.uid]
    assert apps.list_namespaced_stateful_set(space.name).items[0].spec.service_name == "store"
    pods = core.list_namespaced_pod(space.name, label_selector="app=web").items
    assert [pod.status.container_statuses[0].ready for pod in pods] == [True, True]
    assert core.list_namespaced_service(space.name).items[0].spec.cluster_ip
    assert {event.involved_object.kind for event in core.list_namespaced_event(space.name).items} >= {"Pod"}
    assert core.list_node().items


@long
def test_jobs_autoscalers_and_slices_are_read(space: Space, python_client: client.ApiClient) -> None:
    space.create(job("migrate"))
    space.create(deployment("web"))
    space.create(service("web", selector={"app": "web"}))
    space.create(autoscaler("web", minimum=1, maximum=3))
    space.wait_until_done("web")
    batch: Any = client.BatchV1Api(python_client)
    assert batch.list_namespaced_job(space.name).items[0].spec.backoff_limit == 0
    scaling: Any = client.AutoscalingV2Api(python_client)
    assert scaling.list_namespaced_horizontal_pod_autoscaler(space.name).items[0].spec.max_replicas == 3
    discovery: Any = client.DiscoveryV1Api(python_client)
    slices = wait_for(lambda: discovery.list_namespaced_endpoint_slice(space.name).items, what="a slice")
    assert slices[0].address_type == "IPv4"


@long
@pytest.mark.parametrize("reason", ["ImageInspectError", "CrashLoopBackOff", "Sandbox"])
def test_failing_pods_are_read(space: Space, python_client: client.ApiClient, reason: str) -> None:
    space.create(deployment("web", pod_annotations=failing(reason)))
    core: Any = client.CoreV1Api(python_client)
    statuses = wait_for(
        lambda: [
            each
            for pod in core.list_namespaced_pod(space.name).items
            for each in pod.status.container_statuses or []
        ],
        what="a container's status",
    )
    assert [each.ready for each in statuses] == [False]


@long
def test_the_client_watches(space: Space, python_client: client.ApiClient) -> None:
    apps: Any = client.AppsV1Api(python_client)
    version = apps.list_namespaced_deployment(space.name).metadata.resource_version
    space.create(deployment("web"))
    watcher: Any = watch.Watch
    stream = watcher().stream(
        apps.list_namespaced_deployment,
        space.name,
        resource_version=version,
        timeout_seconds=10,
        allow_watch_bookmarks=True,
    )
    event = next(stream)
    stream.close()
    assert (event["type"], event["object"].metadata.name) == ("ADDED", "web")


def test_the_client_patches_an_image(space: Space, python_client: client.ApiClient) -> None:
    space.create(deployment("web"))
    body = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "registry.test/web:2"}]}}}}
    apps: Any = client.AppsV1Api(python_client)
    patched = apps.patch_namespaced_deployment("web", space.name, body, field_manager="release-portal")
    assert patched.spec.template.spec.containers[0].image == "registry.test/web:2"


def test_a_refusal_reaches_the_client_with_its_reason(space: Space, python_client: client.ApiClient) -> None:
    with pytest.raises(client.ApiException) as refused:
        client.AppsV1Api(python_client).read_namespaced_deployment("nope", space.name)
    assert refused.value.status == 404
    assert json.loads(refused.value.body or "{}")["reason"] == "NotFound"
