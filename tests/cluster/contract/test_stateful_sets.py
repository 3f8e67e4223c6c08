"""StatefulSets go one by one and from the top, and have no deadline of their own."""

from tests.cluster.api import Json
from tests.cluster.objects import Space, failing, image_of, is_ready, slow, stateful_set, template_patch

OLD, NEW = "registry.test/web:1", "registry.test/web:2"


def test_pods_are_numbered_and_start_in_order(space: Space) -> None:
    space.create(stateful_set("store", replicas=3, pod_annotations=slow()))
    space.wait("statefulsets", "store", _done)
    pods = sorted(space.pods("store"), key=lambda pod: str(pod["metadata"]["name"]))
    assert [pod["metadata"]["name"] for pod in pods] == ["store-0", "store-1", "store-2"]
    assert [pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] for pod in pods] == ["0", "1", "2"]
    made = [pod["metadata"]["creationTimestamp"] for pod in pods]
    assert made == sorted(made)


def test_an_update_goes_from_the_last_to_the_first(space: Space) -> None:
    space.create(stateful_set("store", replicas=3))
    before = space.wait("statefulsets", "store", _done)
    pods = space.api.get(space.path("pods"))["metadata"]["resourceVersion"]
    patched = space.patch("statefulsets", "store", template_patch(NEW, {}))
    assert patched["status"]["observedGeneration"] == before["metadata"]["generation"]
    after = space.wait("statefulsets", "store", _done)
    assert after["status"]["updatedReplicas"] == 3
    assert after["status"]["currentRevision"] == after["status"]["updateRevision"]
    assert after["status"]["updateRevision"] != before["status"]["updateRevision"]
    events = list(space.api.watch(space.path("pods"), seconds=1, resourceVersion=pods))
    replaced = [event["object"]["metadata"]["name"] for event in events if event["type"] == "ADDED"]
    # A controller whose cache is behind may make one pod twice; the order is what is promised.
    assert list(dict.fromkeys(replaced)) == ["store-2", "store-1", "store-0"]
    assert {pod["spec"]["containers"][0]["image"] for pod in space.pods("store")} == {NEW}


def test_a_partition_keeps_the_first_pods_as_they_are(space: Space) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    space.create(stateful_set("store", replicas=3, updateStrategy=strategy))
    space.wait("statefulsets", "store", _done)
    space.patch("statefulsets", "store", template_patch(NEW, {}))

    def partly(seen: Json) -> bool:
        return _observed(seen) and seen["status"].get("updatedReplicas") == 1 and _all_ready(seen)

    seen = space.wait("statefulsets", "store", partly)
    assert seen["status"]["updateRevision"] != seen["status"]["currentRevision"]
    images = {pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in space.pods("store")}
    assert images == {"store-0": OLD, "store-1": OLD, "store-2": NEW}


def test_a_broken_pod_holds_the_update_up_without_any_word(space: Space) -> None:
    space.create(stateful_set("store", replicas=2))
    space.wait("statefulsets", "store", _done)
    space.patch("statefulsets", "store", template_patch(NEW, failing("CreateContainerConfigError")))

    def stuck(_: Json) -> bool:
        pods = {pod["metadata"]["name"]: pod for pod in space.pods("store")}
        return "store-1" in pods and not is_ready(pods["store-1"]) and is_ready(pods["store-0"])

    seen = space.wait("statefulsets", "store", stuck)
    assert not seen["status"].get("conditions")
    assert image_of(seen) == NEW


def test_its_revisions_are_controller_revisions(space: Space) -> None:
    made = space.create(stateful_set("store"))
    seen = space.wait("statefulsets", "store", _done)
    [found] = space.find("controllerrevisions")
    assert found["metadata"]["name"] == seen["status"]["updateRevision"]
    assert found["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    assert found["revision"] == 1
    assert found["data"]["spec"]["template"]["spec"]["containers"][0]["image"] == OLD
    [pod] = space.pods("store")
    assert pod["metadata"]["labels"]["controller-revision-hash"] == seen["status"]["updateRevision"]


def test_scaling_down_takes_the_last_first(space: Space) -> None:
    space.create(stateful_set("store", replicas=3))
    space.wait("statefulsets", "store", _done)
    space.patch("statefulsets", "store", {"spec": {"replicas": 1}})
    space.wait("statefulsets", "store", _done)
    assert [pod["metadata"]["name"] for pod in space.pods("store")] == ["store-0"]


def _observed(seen: Json) -> bool:
    return bool(seen.get("status", {}).get("observedGeneration") == seen["metadata"]["generation"])


def _all_ready(seen: Json) -> bool:
    return bool(seen["status"].get("readyReplicas", 0) == seen["spec"]["replicas"])


def _done(seen: Json) -> bool:
    """Tell whether it is rolled out, by the rules of `kubectl rollout status`."""
    if not _observed(seen) or not _all_ready(seen):
        return False
    status = seen["status"]
    return bool(
        status["replicas"] == status["readyReplicas"]
        and status["updateRevision"] == status["currentRevision"]
    )
