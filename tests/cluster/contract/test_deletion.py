"""Deleting: what goes with an object, what stays, and what the answer is."""

from tests.cluster.objects import Space, config_map, deployment, failing, wait_for


def test_deleting_a_plain_object_answers_success(space: Space) -> None:
    made = space.create(config_map("settings"))
    answer = space.delete("configmaps", "settings")
    assert (answer["kind"], answer["status"]) == ("Status", "Success")
    assert answer["details"] == {"name": "settings", "kind": "configmaps", "uid": made["metadata"]["uid"]}


def test_a_deleted_deployment_takes_everything_along(space: Space) -> None:
    space.create(deployment("web", replicas=2))
    space.settle("web")
    space.delete("deployments", "web")
    wait_for(lambda: not space.find("deployments"), what="the deployment to go")
    wait_for(lambda: not space.find("replicasets") and not space.find("pods"), what="sets and pods to go")


def test_in_the_foreground_a_deployment_waits_for_its_pods(space: Space) -> None:
    space.create(deployment("web", replicas=2))
    space.settle("web")
    answer = space.delete("deployments", "web", propagationPolicy="Foreground")
    assert answer["kind"] == "Deployment"
    assert answer["metadata"]["deletionTimestamp"]
    assert "foregroundDeletion" in answer["metadata"]["finalizers"]
    wait_for(lambda: not space.find("deployments"), what="the deployment to go")
    assert space.find("replicasets") == []
    assert space.pods("web") == []


def test_orphans_are_adopted_by_an_equal_deployment(space: Space) -> None:
    space.create(deployment("web", replicas=2))
    space.settle("web")
    [left] = space.replica_sets("web")
    pods = {pod["metadata"]["uid"] for pod in space.pods("web")}
    space.delete("deployments", "web", propagationPolicy="Orphan")
    wait_for(lambda: not space.find("deployments"), what="the deployment to go")
    wait_for(
        lambda: not space.get("replicasets", left["metadata"]["name"])["metadata"].get("ownerReferences"),
        what="the replica set to be an orphan",
    )
    again = space.create(deployment("web", replicas=2))
    space.settle("web")
    [adopted] = space.replica_sets("web")
    assert adopted["metadata"]["uid"] == left["metadata"]["uid"]
    assert adopted["metadata"]["ownerReferences"][0]["uid"] == again["metadata"]["uid"]
    assert {pod["metadata"]["uid"] for pod in space.pods("web")} == pods


def test_a_deleted_pod_says_when_before_it_goes(space: Space) -> None:
    space.create(deployment("web", pod_annotations=failing("NeverReady")))
    [pod] = wait_for(lambda: space.pods("web"), what="a pod")
    version = space.api.get(space.path("pods"))["metadata"]["resourceVersion"]
    space.delete("pods", pod["metadata"]["name"])
    query = {"resourceVersion": version, "fieldSelector": f"metadata.name={pod['metadata']['name']}"}
    last = None
    for event in space.api.watch(space.path("pods"), seconds=10, **query):
        last = event
        if event["type"] == "DELETED":
            break
    assert last is not None
    assert last["type"] == "DELETED"
    assert last["object"]["metadata"]["uid"] == pod["metadata"]["uid"]


def test_a_namespace_takes_its_objects_along(space: Space) -> None:
    name = f"{space.name}-gone"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    space.api.create("api/v1/namespaces", body)
    inner = Space(space.api, name)
    inner.create(config_map("settings"))
    space.api.delete(f"api/v1/namespaces/{name}")
    wait_for(
        lambda: space.api.ask("GET", f"api/v1/namespaces/{name}").code == 404, what="the namespace to go"
    )
    assert inner.find("configmaps") == []
