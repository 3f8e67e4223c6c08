"""A Deployment's way from one image to the next, as list and watch show it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.cluster.api import Json
from tests.cluster.conftest import Cluster
from tests.cluster.objects import (
    Space,
    condition,
    deployment,
    failing,
    image_of,
    is_ready,
    namespace,
    revision,
    rollout_done,
    slow,
    stateful_set,
    template_patch,
    wait_for,
)

NEW = "registry.test/web:2"


@dataclass(frozen=True)
class Bounds:
    """A rollout's size and settings, and the most and fewest pods that it may and does reach on its way."""

    name: str
    replicas: int
    surge: int | str
    unavailable: int | str
    most: int
    fewest: int


# Surge is rounded up and unavailable down; when both come to nothing, one pod may be missing.
BOUNDS = [
    Bounds("a-quarter-of-four", 4, "25%", "25%", most=5, fewest=3),
    Bounds("a-quarter-of-three", 3, "25%", "25%", most=4, fewest=3),
    Bounds("two-may-be-missing", 4, 0, 2, most=4, fewest=2),
    Bounds("half-of-five", 5, "50%", "50%", most=8, fewest=3),
    Bounds("nothing-of-two", 2, "0%", "10%", most=2, fewest=1),
]


@dataclass(frozen=True)
class Course:
    """What a rollout went through: pods asked for in all and by image, and pods ready, after each change."""

    asked: list[dict[str, int]]
    ready: list[int]


@pytest.fixture(scope="module")
def courses(cluster: Cluster) -> Iterator[dict[str, Course]]:
    """The course of each of the bounded rollouts, all rolled out at the same time."""
    with namespace(cluster.admin) as space:
        for case in BOUNDS:
            strategy = _rolling(case.surge, case.unavailable)
            space.create(deployment(case.name, replicas=case.replicas, strategy=strategy))
        yield _roll_out(space, [case.name for case in BOUNDS])


def test_the_generation_rises_with_spec_and_annotations_only(space: Space) -> None:
    space.create(deployment("web"))
    before = space.settle("web")["metadata"]["generation"]
    assert before == 1
    changes: list[Json] = [
        {"metadata": {"labels": {"a": "1"}}},
        {"metadata": {"annotations": {"a": "1"}}},
        {"spec": {"minReadySeconds": 1}},
    ]
    seen = [space.patch("deployments", "web", change)["metadata"]["generation"] for change in changes]
    assert seen == [1, 2, 3]


def test_the_generation_of_a_stateful_set_rises_with_its_spec_only(space: Space) -> None:
    space.create(stateful_set("store"))
    patched = space.patch("statefulsets", "store", {"metadata": {"annotations": {"a": "1"}}})
    assert patched["metadata"]["generation"] == 1
    assert space.patch("statefulsets", "store", {"spec": {"replicas": 2}})["metadata"]["generation"] == 2


def test_the_answer_to_a_patch_carries_the_status_of_the_rollout_before(space: Space) -> None:
    space.create(deployment("web", replicas=2))
    before = space.settle("web")
    answer = space.set_image("web", NEW)
    assert answer["metadata"]["generation"] == before["metadata"]["generation"] + 1
    assert answer["status"] == before["status"]
    assert condition(answer, "Progressing")["reason"] == "NewReplicaSetAvailable"
    assert not rollout_done(answer)


def test_counts_of_zero_are_absent(space: Space) -> None:
    space.create(deployment("web", replicas=1, pod_annotations=failing("NeverReady")))
    seen = space.wait("deployments", "web", lambda seen: seen.get("status", {}).get("updatedReplicas"))
    assert "readyReplicas" not in seen["status"]
    assert "availableReplicas" not in seen["status"]
    assert seen["status"]["unavailableReplicas"] == 1


def test_a_rollout_passes_through_its_phases_in_order(space: Space) -> None:
    space.create(deployment("web", replicas=3, strategy=_rolling(2, 0)))
    version = space.settle("web")["metadata"]["resourceVersion"]
    space.patch("deployments", "web", template_patch(NEW, slow()))
    seen = _follow(space, version)
    phases = [_phase(each) for each in seen]
    assert phases[0] == "unobserved"
    assert "updating" in phases
    # What is done stays done: nothing that came before was taken for the end.
    assert set(phases[phases.index("done") :]) == {"done"}
    assert condition(seen[-1], "Available")["reason"] == "MinimumReplicasAvailable"


@pytest.mark.parametrize("case", BOUNDS, ids=lambda case: case.name)
def test_a_rollout_stays_within_its_bounds(courses: dict[str, Course], case: Bounds) -> None:
    course = courses[case.name]
    # The counts in a Deployment's status are no proof: they add up ReplicaSets of different moments.
    assert max(sum(asked.values()) for asked in course.asked) == case.most
    assert min(course.ready) == case.fewest
    assert course.asked[-1][NEW] == case.replicas


def test_a_replica_set_says_how_many_pods_are_wanted_and_allowed(space: Space) -> None:
    space.create(deployment("web", replicas=3, strategy=_rolling("50%", 0)))
    space.wait_until_done("web")
    annotations = space.replica_sets("web")[-1]["metadata"]["annotations"]
    assert annotations["deployment.kubernetes.io/desired-replicas"] == "3"
    assert annotations["deployment.kubernetes.io/max-replicas"] == "5"


def test_recreate_ends_the_old_pods_before_it_makes_new_ones(space: Space) -> None:
    space.create(deployment("web", replicas=2, strategy={"type": "Recreate"}))
    course = _roll_out(space, ["web"])["web"]
    assert all(len([image for image, count in asked.items() if count]) <= 1 for asked in course.asked)
    assert min(course.ready) == 0
    assert course.asked[-1] == {"registry.test/web:1": 0, NEW: 2}


def test_only_pods_of_the_new_template_are_left(space: Space) -> None:
    space.create(deployment("web", replicas=2))
    space.wait_until_done("web")
    old = {pod["metadata"]["uid"] for pod in space.pods("web")}
    space.set_image("web", NEW)
    space.wait_until_done("web")
    pods = space.pods("web")
    assert len(pods) == 2
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {NEW}
    assert not old & {pod["metadata"]["uid"] for pod in pods}


def test_a_pod_belongs_to_its_replica_set_by_owner_and_hash(space: Space) -> None:
    space.create(deployment("web"))
    seen = space.wait_until_done("web")
    [replica_set], [pod] = space.replica_sets("web"), space.pods("web")
    template_hash = replica_set["metadata"]["labels"]["pod-template-hash"]
    assert replica_set["metadata"]["name"] == f"web-{template_hash}"
    assert replica_set["spec"]["selector"]["matchLabels"]["pod-template-hash"] == template_hash
    assert pod["metadata"]["labels"]["pod-template-hash"] == template_hash
    assert pod["metadata"]["name"].startswith(f"web-{template_hash}-")
    assert _owner(replica_set) == ("Deployment", seen["metadata"]["uid"])
    assert _owner(pod) == ("ReplicaSet", replica_set["metadata"]["uid"])


def test_zero_replicas_are_done_at_once(space: Space) -> None:
    space.create(deployment("web", replicas=0))
    seen = space.wait_until_done("web")
    assert seen["status"].get("replicas", 0) == 0
    space.set_image("web", NEW)
    assert image_of(space.wait_until_done("web")) == NEW
    assert space.pods("web") == []


def test_progress_is_told_by_its_reasons(space: Space) -> None:
    space.create(deployment("web", pod_annotations=slow()))
    version = space.get("deployments", "web")["metadata"]["resourceVersion"]
    reasons = {condition(each, "Progressing").get("reason") for each in _follow(space, version)}
    assert "NewReplicaSetAvailable" in reasons
    assert reasons <= {
        None,
        "NewReplicaSetCreated",
        "FoundNewReplicaSet",
        "ReplicaSetUpdated",
        "NewReplicaSetAvailable",
    }


def test_each_step_of_the_controller_is_an_event(space: Space) -> None:
    space.create(deployment("web", replicas=1))
    space.wait_until_done("web")
    space.set_image("web", NEW)
    space.wait_until_done("web")
    old, new = (each["metadata"]["name"] for each in space.replica_sets("web"))
    told = {
        f"Scaled up replica set {old} from 0 to 1",
        f"Scaled up replica set {new} from 0 to 1",
        f"Scaled down replica set {old} from 1 to 0",
    }
    # Events are written behind the change that they tell of.
    expected = {("Deployment", text) for text in told}
    wait_for(lambda: _messages(space, "ScalingReplicaSet") == expected, what="each step to be told")
    made = space.events("SuccessfulCreate")
    assert {event["involvedObject"]["name"] for event in made} == {old, new}


def test_a_pod_of_a_deployment_that_dies_is_replaced(space: Space) -> None:
    space.create(deployment("web", replicas=2))
    space.wait_until_done("web")
    victim = space.pods("web")[0]["metadata"]
    space.delete("pods", victim["name"])

    def replaced(_: Json) -> bool:
        pods = space.pods("web")
        fresh = victim["uid"] not in {pod["metadata"]["uid"] for pod in pods}
        return fresh and len(pods) == 2 and all(map(is_ready, pods))

    space.wait("deployments", "web", replaced)
    assert revision(space.get("deployments", "web")) == 1


def _roll_out(space: Space, names: list[str]) -> dict[str, Course]:
    """Roll out a new image of Deployments that are being created, and return what happened since."""
    for name in names:
        space.settle(name)
    # Both lists begin at the state that the rollouts begin at.
    sets, pods = (space.api.get(space.path(plural)) for plural in ("replicasets", "pods"))
    for name in names:
        space.patch("deployments", name, template_patch(NEW, slow()))
    for name in names:
        space.settle(name)
    asked = _replay(space, "replicasets", sets)
    ready = _replay(space, "pods", pods)
    return {name: Course(_asked(asked, name), _ready(ready, name)) for name in names}


def _replay(space: Space, plural: str, first: Json) -> list[dict[str, Json]]:
    """Return all objects by uid after each change since a list."""
    state = {each["metadata"]["uid"]: each for each in first["items"]}
    states = [dict(state)]
    version = first["metadata"]["resourceVersion"]
    for event in space.api.watch(space.path(plural), seconds=1, resourceVersion=version):
        uid = event["object"]["metadata"]["uid"]
        state[uid] = event["object"]
        if event["type"] == "DELETED":
            del state[uid]
        states.append(dict(state))
    return states


def _asked(states: list[dict[str, Json]], name: str) -> list[dict[str, int]]:
    return [
        {image_of(each): each["spec"]["replicas"] for each in state.values() if _belongs(each, name)}
        for state in states
    ]


def _ready(states: list[dict[str, Json]], name: str) -> list[int]:
    return [
        sum(
            _belongs(pod, name) and is_ready(pod) and "deletionTimestamp" not in pod["metadata"]
            for pod in state.values()
        )
        for state in states
    ]


def _belongs(seen: Json, name: str) -> bool:
    return bool(seen["metadata"]["labels"]["app"] == name)


def _rolling(surge: int | str, unavailable: int | str) -> Json:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def _follow(space: Space, version: str) -> list[Json]:
    """Return the states of Deployment `web` that a watch shows until its controller calls it complete."""
    seen: list[Json] = []
    query = {"fieldSelector": "metadata.name=web", "resourceVersion": version, "allowWatchBookmarks": "true"}
    for event in space.api.watch(space.path("deployments"), seconds=30, **query):
        if event["type"] == "BOOKMARK":
            continue
        assert event["type"] in {"ADDED", "MODIFIED"}
        seen.append(event["object"])
        complete = condition(event["object"], "Progressing").get("reason") == "NewReplicaSetAvailable"
        if rollout_done(event["object"]) and complete:
            return seen
    raise AssertionError(f"the rollout did not end: {seen[-1:]}")


def _phase(seen: Json) -> str:
    """Return what `kubectl rollout status` would say of a Deployment."""
    status, wanted = seen["status"], seen["spec"]["replicas"]
    updated = status.get("updatedReplicas", 0)
    if seen["metadata"]["generation"] > status.get("observedGeneration", 0):
        return "unobserved"
    if updated < wanted:
        return "updating"
    if status.get("replicas", 0) > updated:
        return "old pods to go"
    return "becoming available" if status.get("availableReplicas", 0) < updated else "done"


def _messages(space: Space, reason: str) -> set[tuple[str, str]]:
    return {(event["involvedObject"]["kind"], event["message"]) for event in space.events(reason)}


def _owner(seen: Json) -> tuple[str, str]:
    [owner] = [each for each in seen["metadata"]["ownerReferences"] if each.get("controller")]
    return owner["kind"], owner["uid"]
