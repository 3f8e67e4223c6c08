"""Pods that do not come up, in each way that a rollout must recognise within seconds."""

from collections.abc import Callable, Iterator

import pytest

from tests.cluster.api import Json
from tests.cluster.conftest import USES_CONTROL_PLANE, Cluster
from tests.cluster.objects import (
    Space,
    condition,
    config_map,
    deployment,
    failing,
    is_ready,
    namespace,
    wait_for,
    waiting_reasons,
)

WAITING_FOR_EVER = [
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "PreCreateHookError",
    "PreStartHookError",
    "PostStartHookError",
]
INIT_CONTAINER = {"initContainers": [{"name": "prepare", "image": "registry.test/prepare:1"}]}
QUICK = {"after": "300ms", "backoff": "500ms"}
PATIENTS = {
    "pull": failing("ErrImagePull"),
    "sandbox": failing("Sandbox"),
    "crash": failing("CrashLoopBackOff", **QUICK, exit_code="3", message="no database"),
    "oom": failing("OOMKilled", **QUICK),
    "flap": failing("CrashAfterReady", after="1s", backoff="500ms"),
    "once": failing("CrashOnce", after="700ms", message="no database yet"),
    "never": failing("NeverReady"),
    "late": failing("LateReady", after="1s"),
    "evicted": failing("Evicted", after="500ms"),
    "words": failing("CreateContainerConfigError", message='secret "shop" not found'),
}


@pytest.fixture(scope="module")
def ward(cluster: Cluster) -> Iterator[Space]:
    """A namespace with one Deployment for each way to fail, all made at once because each takes its time."""
    with namespace(cluster.admin) as space:
        for reason in WAITING_FOR_EVER:
            space.create(deployment(reason.lower(), pod_annotations=failing(reason)))
        for name, annotations in PATIENTS.items():
            space.create(deployment(name, pod_annotations=annotations))
        init = failing("CrashLoopBackOff", container="prepare", **QUICK)
        space.create(deployment("init", pod_annotations=init, pod_spec=INIT_CONTAINER))
        part = failing("InvalidImageName", percent="50")
        space.create(deployment("part", replicas=12, pod_annotations=part))
        yield space


@pytest.mark.parametrize("reason", WAITING_FOR_EVER)
def test_a_container_that_cannot_start_says_why(ward: Space, reason: str) -> None:
    pod = _pod_when(ward, reason.lower(), lambda pod: reason in waiting_reasons(pod))
    [status] = pod["status"]["containerStatuses"]
    assert pod["status"]["phase"] == "Pending"
    assert status["state"]["waiting"]["message"]
    assert (status["name"], status["ready"], status["restartCount"]) == ("web", False, 0)
    assert not is_ready(pod)
    assert _warning(ward, pod, "Failed")["type"] == "Warning"


def test_the_message_of_a_waiting_container_is_kept(ward: Space) -> None:
    pod = _pod_when(ward, "words", lambda pod: "CreateContainerConfigError" in waiting_reasons(pod))
    assert _status(pod)["state"]["waiting"]["message"] == 'secret "shop" not found'


def test_a_pull_alternates_between_error_and_back_off(ward: Space) -> None:
    first = _pod_when(ward, "pull", lambda pod: "ErrImagePull" in waiting_reasons(pod))
    assert "registry.test/web:1" in _status(first)["state"]["waiting"]["message"]
    assert "not found" in _status(first)["state"]["waiting"]["message"]
    second = _pod_when(ward, "pull", lambda pod: "ImagePullBackOff" in waiting_reasons(pod))
    assert _status(second)["state"]["waiting"]["message"].startswith("Back-off pulling image")
    assert _warning(ward, second, "BackOff")["message"]


def test_a_pod_without_a_sandbox_is_creating_its_container(ward: Space) -> None:
    pod = _pod_when(ward, "sandbox", lambda pod: "ContainerCreating" in waiting_reasons(pod))
    assert condition(pod, "PodReadyToStartContainers")["status"] == "False"
    assert _warning(ward, pod, "FailedCreatePodSandBox")["message"]


@pytest.mark.skipif(USES_CONTROL_PLANE, reason="simulated nodes mount nothing")
def test_a_pod_waits_for_what_it_mounts_and_starts_when_it_is_there(space: Space) -> None:
    mounted = {"volumes": [{"name": "config", "configMap": {"name": "late"}}]}
    space.create(deployment("waits", pod_spec=mounted))
    pod = wait_for(lambda: space.events("FailedMount"), what="its event")[0]["involvedObject"]["name"]
    seen = space.get("pods", pod)
    assert waiting_reasons(seen) == {"ContainerCreating"}
    assert condition(seen, "PodReadyToStartContainers")["status"] == "False"
    space.create(config_map("late", key="value"))
    assert space.settle("waits")["status"]["readyReplicas"] == 1


def test_a_pod_whose_claim_is_not_bound_gets_no_node(space: Space) -> None:
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    space.create(
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": claim}
    )
    mounted = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}
    space.create(deployment("stores", pod_spec=mounted))
    told = wait_for(lambda: space.events("FailedScheduling"), what="the scheduler's event")[0]
    assert "unbound immediate PersistentVolumeClaims" in told["message"]
    seen = space.get("pods", told["involvedObject"]["name"])
    assert condition(seen, "PodScheduled")["reason"] == "Unschedulable"


def test_a_crash_loop_counts_its_restarts_and_keeps_the_last_end(ward: Space) -> None:
    def crashed_twice(pod: Json) -> bool:
        return "CrashLoopBackOff" in waiting_reasons(pod) and _status(pod)["restartCount"] >= 2

    status = _status(_pod_when(ward, "crash", crashed_twice))
    last = status["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"], last["message"]) == (3, "Error", "no database")
    assert last["startedAt"] <= last["finishedAt"]
    assert status["state"]["waiting"]["message"]


def test_a_crash_loop_is_an_event(ward: Space) -> None:
    pod = _pod_when(ward, "crash", lambda pod: "CrashLoopBackOff" in waiting_reasons(pod))
    assert _warning(ward, pod, "BackOff")["message"].startswith("Back-off restarting failed container")


def test_a_container_out_of_memory_says_so(ward: Space) -> None:
    pod = _pod_when(ward, "oom", lambda pod: _status(pod).get("lastState", {}).get("terminated"))
    last = _status(pod)["lastState"]["terminated"]
    assert (last["reason"], last["exitCode"]) == ("OOMKilled", 137)


def test_a_pod_may_be_ready_and_crash_all_the_same(ward: Space) -> None:
    _pod_when(ward, "flap", lambda pod: _status(pod)["restartCount"] >= 1 and is_ready(pod))
    seen = ward.wait("deployments", "flap", lambda seen: seen["status"].get("availableReplicas"))
    assert condition(seen, "Progressing")["reason"] == "NewReplicaSetAvailable"


def test_a_pod_may_die_once_on_its_way_and_be_ready_after_it(ward: Space) -> None:
    assert ward.settle("once")["status"]["readyReplicas"] == 1
    status = _status(ward.pods("once")[0])
    assert (status["restartCount"], "running" in status["state"]) == (1, True)
    last = status["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"], last["message"]) == (1, "Error", "no database yet")


def test_a_pod_that_is_never_ready_runs(ward: Space) -> None:
    pod = _pod_when(ward, "never", lambda pod: pod["status"]["phase"] == "Running")
    assert _status(pod)["state"]["running"]["startedAt"]
    assert not is_ready(pod)
    assert _warning(ward, pod, "Unhealthy")["message"].startswith("Readiness probe failed")


def test_a_pod_that_is_ready_late_is_ready_in_the_end(ward: Space) -> None:
    assert ward.settle("late")["status"]["readyReplicas"] == 1
    assert _status(ward.pods("late")[0])["restartCount"] == 0


def test_an_evicted_pod_stays_and_is_replaced(ward: Space) -> None:
    pod = _pod_when(ward, "evicted", lambda pod: pod["status"]["phase"] == "Failed")
    assert pod["status"]["reason"] == "Evicted"
    assert _warning(ward, pod, "Evicted")["message"]
    others = wait_for(
        lambda: [each for each in ward.pods("evicted") if each["metadata"]["uid"] != pod["metadata"]["uid"]],
        what="a pod in the place of the evicted one",
    )
    assert others


def test_an_init_container_that_crashes_holds_the_others_back(ward: Space) -> None:
    def crashed(pod: Json) -> bool:
        [status] = pod["status"].get("initContainerStatuses") or [{}]
        return status.get("restartCount", 0) >= 1 and "CrashLoopBackOff" in waiting_reasons(pod)

    pod = _pod_when(ward, "init", crashed)
    assert _status(pod)["state"]["waiting"]["reason"] == "PodInitializing"
    assert condition(pod, "Initialized")["status"] == "False"
    assert pod["status"]["phase"] == "Pending"


def test_a_part_of_the_pods_may_fail(ward: Space) -> None:
    def settled(_: Json) -> bool:
        pods = ward.pods("part")
        broken = sum("InvalidImageName" in waiting_reasons(pod) for pod in pods)
        return broken + sum(map(is_ready, pods)) == 12 and 0 < broken < 12

    ward.wait("deployments", "part", settled)


def test_a_quota_is_told_by_the_deployment_and_by_an_event(space: Space) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}}
    space.create({**quota, "spec": {"hard": {"pods": "1"}}})
    wait_for(
        lambda: space.get("resourcequotas", "q").get("status", {}).get("hard"), what="the quota to be counted"
    )
    space.create(deployment("web", replicas=2))
    seen = space.wait("deployments", "web", lambda seen: condition(seen, "ReplicaFailure"))
    failure = condition(seen, "ReplicaFailure")
    assert (failure["status"], failure["reason"]) == ("True", "FailedCreate")
    assert (
        "is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"
        in failure["message"]
    )
    assert len(space.pods("web")) == 1
    _assert_failed_create(space, "exceeded quota")


def test_a_missing_service_account_is_told_the_same_way(space: Space) -> None:
    space.create(deployment("web", pod_spec={"serviceAccountName": "robot"}))
    seen = space.wait("deployments", "web", lambda seen: condition(seen, "ReplicaFailure"))
    assert 'serviceaccount "robot" not found' in condition(seen, "ReplicaFailure")["message"]
    assert space.pods("web") == []
    _assert_failed_create(space, 'serviceaccount "robot" not found')


def test_a_failed_creation_heals_when_its_cause_is_gone(space: Space) -> None:
    space.create(deployment("web", pod_spec={"serviceAccountName": "robot"}))
    space.wait("deployments", "web", lambda seen: condition(seen, "ReplicaFailure"))
    space.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}})
    seen = space.settle("web")
    assert condition(seen, "ReplicaFailure") == {}


def test_a_pod_that_no_node_takes_is_unschedulable(space: Space) -> None:
    space.create(deployment("web", pod_spec={"nodeSelector": {"disk": "golden"}}))
    pod = _pod_when(space, "web", lambda pod: condition(pod, "PodScheduled"))
    scheduled = condition(pod, "PodScheduled")
    assert (scheduled["status"], scheduled["reason"]) == ("False", "Unschedulable")
    assert "nodes are available" in scheduled["message"]
    assert pod["status"]["phase"] == "Pending"
    assert "nodeName" not in pod["spec"]
    event = _warning(space, pod, "FailedScheduling")
    assert event["message"] == scheduled["message"]
    # The scheduler writes events of the newer kind, whose old time fields are empty.
    assert event["eventTime"]
    assert not event.get("lastTimestamp")


def _assert_failed_create(space: Space, words: str) -> None:
    [replica_set] = space.replica_sets("web")
    assert words in condition(replica_set, "ReplicaFailure")["message"]
    event = wait_for(lambda: space.events("FailedCreate"), what="the event FailedCreate")[0]
    about = event["involvedObject"]
    assert (about["kind"], about["name"]) == ("ReplicaSet", replica_set["metadata"]["name"])
    assert event["type"] == "Warning"
    assert words in event["message"]
    assert event["lastTimestamp"]


def _pod_when(space: Space, owner: str, holds: Callable[[Json], object]) -> Json:
    """Wait for a pod of the workload for which something holds, and return it."""

    def look() -> Json | None:
        pods = space.find("pods", labelSelector=f"app={owner}")
        return next((pod for pod in pods if pod["status"].get("phase") and holds(pod)), None)

    return wait_for(look, what=f"a pod of {owner}")


def _status(pod: Json) -> Json:
    """Return the status of the pod's only container, empty before it has one."""
    [status] = pod["status"].get("containerStatuses") or [{"restartCount": 0}]
    return dict(status)


def _warning(space: Space, pod: Json, reason: str) -> Json:
    """Wait for an event about the pod and return it."""
    selector = f"involvedObject.uid={pod['metadata']['uid']},reason={reason}"
    event = wait_for(lambda: space.find("events", fieldSelector=selector), what=f"the event {reason}")[0]
    assert event["involvedObject"]["kind"] == "Pod"
    assert event["involvedObject"]["name"] == pod["metadata"]["name"]
    return event
