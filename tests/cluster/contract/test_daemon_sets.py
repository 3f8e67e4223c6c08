"""DaemonSets run once on each node and say so in counts of their own; their revisions tell pods apart."""

import pytest

from tests.cluster.api import Json, Refused
from tests.cluster.objects import Space, daemon_set, template_patch, wait_for

OLD, NEW = "registry.test/agent:1", "registry.test/agent:2"
LABEL = "controller-revision-hash"


def done(seen: Json) -> bool:
    """kubectl's rule (protocols.md, A1)."""
    status = seen["status"]
    wanted = status.get("desiredNumberScheduled", 0)
    counts = [status.get(name, 0) for name in ("updatedNumberScheduled", "numberAvailable")]
    return bool(
        wanted
        and status.get("observedGeneration") == seen["metadata"]["generation"]
        and min(counts) >= wanted
    )


def images(space: Space) -> set[str]:
    return {pod["spec"]["containers"][0]["image"] for pod in space.pods("agent")}


def newest(space: Space) -> Json:
    found = space.find("controllerrevisions", labelSelector="app=agent")
    return max(found, key=lambda each: int(each["revision"]))


def test_there_is_one_pod_on_each_node(space: Space) -> None:
    space.create(daemon_set("agent", image=OLD))
    seen = space.wait("daemonsets", "agent", done)
    nodes = {each["metadata"]["name"] for each in space.api.get("api/v1/nodes")["items"]}
    assert {pod["spec"]["nodeName"] for pod in space.pods("agent")} == nodes
    assert (seen["status"]["numberReady"], "replicas" in seen["spec"]) == (len(nodes), False)


def test_an_update_makes_a_revision_whose_hash_the_new_pods_carry(space: Space) -> None:
    space.create(daemon_set("agent", image=OLD))
    before = space.wait("daemonsets", "agent", done)
    old = newest(space)
    answer = space.patch("daemonsets", "agent", template_patch(NEW, {}))
    # The answer still tells of the change before.
    assert answer["status"]["observedGeneration"] == before["metadata"]["generation"]
    space.wait("daemonsets", "agent", done)
    wait_for(lambda: images(space) == {NEW}, what="the new pods")
    made = newest(space)
    assert int(made["revision"]) == int(old["revision"]) + 1
    hashes = {pod["metadata"]["labels"][LABEL] for pod in space.pods("agent")}
    assert hashes == {made["metadata"]["labels"][LABEL]}


def test_a_template_that_comes_back_is_the_newest_revision_again(space: Space) -> None:
    space.create(daemon_set("agent", image=OLD))
    space.wait("daemonsets", "agent", done)
    first = newest(space)
    space.patch("daemonsets", "agent", template_patch(NEW, {}))
    space.wait("daemonsets", "agent", done)
    space.patch("daemonsets", "agent", template_patch(OLD, {}))
    space.wait("daemonsets", "agent", done)
    wait_for(lambda: images(space) == {OLD}, what="the old pods")
    again = newest(space)
    assert (again["metadata"]["name"], int(again["revision"])) == (first["metadata"]["name"], 3)


def test_on_delete_replaces_nothing_by_itself(space: Space) -> None:
    space.create(daemon_set("agent", image=OLD, updateStrategy={"type": "OnDelete"}))
    space.wait("daemonsets", "agent", done)
    space.patch("daemonsets", "agent", template_patch(NEW, {}))

    def seen(found: Json) -> bool:
        status = found["status"]
        current = status["observedGeneration"] == found["metadata"]["generation"]
        return bool(current and status.get("updatedNumberScheduled", 0) == 0)

    space.wait("daemonsets", "agent", seen)
    assert images(space) == {OLD}


def test_it_has_no_replicas_to_write(space: Space) -> None:
    space.create(daemon_set("agent", image=OLD))
    with pytest.raises(Refused) as refused:
        space.patch("daemonsets", "agent", {"spec": {"replicas": 2}}, kind="merge", fieldValidation="Strict")
    assert refused.value.code == 422
