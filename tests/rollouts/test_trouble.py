"""What is wrong, read from pods: each signal has its patience."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portal.integrations.kubernetes.trouble import Sights, Trouble, find_trouble, restart_counts

Json = dict[str, Any]
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def pod(name: str = "web-1", **status: Any) -> Json:
    return {"metadata": {"name": name}, "status": {"phase": "Pending", **status}}


def waiting(reason: str, message: str = "", *, restarts: int = 0, **more: Any) -> Json:
    state = {"waiting": {"reason": reason, "message": message}}
    return pod(containerStatuses=[{"name": "web", "restartCount": restarts, "state": state, **more}])


def crashed(restarts: int, *, reason: str = "Error", code: int = 1) -> Json:
    ended = {"terminated": {"exitCode": code, "reason": reason, "message": "panic: no database"}}
    return waiting("CrashLoopBackOff", "back-off", restarts=restarts, lastState=ended)


def look(
    *pods: Json, sights: Sights | None = None, after: float = 0, owner: Json | None = None, **more: Any
) -> list[Trouble]:
    now = START + timedelta(seconds=after)
    return find_trouble(pods=pods, owner=owner, sights=sights or Sights(), now=now, **more)


@pytest.mark.parametrize(
    "body",
    [
        waiting("InvalidImageName", "couldn't parse"),
        waiting("ErrImageNeverPull"),
        waiting("ErrImagePull", "rpc error: shop/web:9: not found"),
        waiting("ImagePullBackOff", "pull access denied: unauthorized"),
        crashed(2),
        waiting(
            "CrashLoopBackOff", restarts=2, lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
        ),
    ],
)
def test_what_no_waiting_can_heal_is_final_at_once(body: Json) -> None:
    assert look(body)[0].final


@pytest.mark.parametrize(
    ("reason", "seconds"),
    [
        ("ErrImagePull", 20),
        ("CreateContainerConfigError", 15),
        ("RegistryUnavailable", 60),
        ("RunContainerError", 20),
        ("SomeNewError", 30),
    ],
)
def test_what_may_heal_is_given_its_time(reason: str, seconds: float) -> None:
    sights = Sights()
    first = look(waiting(reason, "connection reset"), sights=sights)[0]
    assert not first.final
    assert first.after_seconds == seconds
    assert not look(waiting(reason), sights=sights, after=seconds - 1)[0].final
    assert look(waiting(reason), sights=sights, after=seconds)[0].final


def test_pull_and_back_off_are_two_sights_of_one_trouble() -> None:
    sights = Sights()
    assert not look(waiting("ErrImagePull", "i/o timeout"), sights=sights)[0].final
    found = look(waiting("ImagePullBackOff", "back-off"), sights=sights, after=2)[0]
    assert (found.code, found.final) == ("ErrImagePull", True)


def test_what_healed_starts_a_new_clock() -> None:
    sights = Sights()
    look(waiting("CreateContainerConfigError"), sights=sights)
    look(pod(), sights=sights, after=5)
    assert not look(waiting("CreateContainerConfigError"), sights=sights, after=16)[0].final


def test_one_crash_is_not_final_and_two_are() -> None:
    assert not look(crashed(1))[0].final
    found = look(crashed(2))[0]
    assert (found.code, found.exit_code, found.message, found.container) == (
        "CrashLoopBackOff",
        1,
        "panic: no database",
        "web",
    )


def test_one_death_for_lack_of_memory_is_seen_twice_and_is_one() -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}

    def at(restarts: int, **status: Json) -> Json:
        return pod(containerStatuses=[{"name": "web", "restartCount": restarts, **status}])

    sights = Sights()
    assert not look(at(0, state=ended), sights=sights)[0].final
    assert not look(at(1, state={"running": {}}, lastState=ended), sights=sights, after=1)[0].final
    backing_off = {"waiting": {"reason": "CrashLoopBackOff"}}
    assert look(at(1, state=backing_off, lastState=ended), sights=sights, after=2)[0].final
    assert look(at(1, state=backing_off, lastState=ended))[0].final


def test_restarts_of_before_do_not_count() -> None:
    before = restart_counts([crashed(7)])
    assert before == {"web-1/web": 7}
    assert not look(crashed(8), baseline=before)[0].final
    assert look(crashed(9), baseline=before)[0].final


def test_an_init_container_counts_as_well() -> None:
    status = {"name": "migrate", "state": {"waiting": {"reason": "InvalidImageName"}}}
    assert look(pod(initContainerStatuses=[status]))[0].container == "migrate"


def test_an_init_container_that_goes_on_is_named_after_a_while_and_never_final() -> None:
    status = {"name": "wait-for-db", "state": {"running": {}}}
    body, sights = pod(initContainerStatuses=[status]), Sights()
    assert look(body, sights=sights) == []
    found = look(body, sights=sights, after=600)[0]
    assert (found.code, found.container, found.final) == ("InitRuns", "wait-for-db", False)
    sidecar = {**body, "spec": {"initContainers": [{"name": "wait-for-db", "restartPolicy": "Always"}]}}
    assert look(sidecar, sights=sights, after=600) == []


def test_pods_wait_for_a_node_each_by_itself() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    first, second = pod("web-1", conditions=[condition]), pod("web-2", conditions=[condition])
    sights = Sights()
    look(first, sights=sights)
    look(first, second, sights=sights, after=40)
    assert not look(second, sights=sights, after=80)[0].final
    assert look(second, sights=sights, after=100)[0].final


def test_pods_that_died_once_each_are_not_past_help() -> None:
    second = {**crashed(1), "metadata": {"name": "web-2"}}
    assert not any(found.final for found in look(crashed(1), second))


def test_a_pod_without_a_node_waits_a_minute() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    sights = Sights()
    first = look(pod(conditions=[condition]), sights=sights)[0]
    assert (first.code, first.message, first.final) == ("Unschedulable", "0/3 nodes", False)
    assert look(pod(conditions=[condition]), sights=sights, after=60)[0].final


def test_refused_pods_are_told_by_the_replica_set() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: q"}
    sights = Sights()
    owner = {"status": {"conditions": [condition]}}
    assert look(owner=owner, sights=sights)[0].message == "exceeded quota: q"
    assert look(owner=owner, sights=sights, after=10)[0].final


def test_the_second_evicted_pod_is_final() -> None:
    sights = Sights()
    first, second = (
        pod(f"web-{n}", phase="Failed", reason="Evicted", message="disk pressure") for n in (1, 2)
    )
    assert not look(first, sights=sights)[0].final
    assert look(first, second, sights=sights)[0].final


def event(reason: str, message: str, *, uid: str = "one", **more: Any) -> Json:
    return {"involvedObject": {"name": "web-1", "uid": uid}, "reason": reason, "message": message, **more}


def creating(**status: Any) -> Json:
    return {**pod(**status), "metadata": {"name": "web-1", "uid": "one"}}


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("FailedMount", "FailedMount"),
        ("FailedAttachVolume", "FailedMount"),
        ("FailedCreatePodSandBox", "CreatePodSandboxError"),
    ],
)
def test_what_keeps_a_pod_from_its_containers_is_told_in_an_event_and_has_a_minute(
    reason: str, code: str
) -> None:
    told, sights = [event(reason, 'configmap "web" not found')], Sights()
    found = look(creating(), sights=sights, events=told)[0]
    assert (found.code, found.message, found.pod) == (code, 'configmap "web" not found', "web-1")
    assert not look(creating(), sights=sights, events=told, after=59)[0].final
    assert look(creating(), sights=sights, events=told, after=60)[0].final


def test_a_volume_that_was_attached_and_is_not_mounted_yet_is_the_same_trouble() -> None:
    attach = event("FailedAttachVolume", "Multi-Attach error", lastTimestamp="2026-03-02T09:00:00Z")
    mount = event("FailedMount", "timed out", lastTimestamp="2026-03-02T09:00:30Z")
    sights = Sights()
    assert look(creating(), sights=sights, events=[attach])[0].message == "Multi-Attach error"
    found = look(creating(), sights=sights, events=[mount, attach], after=60)[0]
    assert (found.message, found.final) == ("timed out", True)


def test_an_event_outlives_what_it_tells_of() -> None:
    told = [event("FailedMount", "timed out"), event("FailedMount", "timed out", uid="of another web-1")]
    begun = {"type": "PodReadyToStartContainers", "status": "True"}
    ended = {"name": "first", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    assert look(creating(conditions=[begun]), events=told) == []
    assert look(creating(initContainerStatuses=[ended]), events=told) == []
    assert look(creating(), events=told[1:]) == []


def test_a_failing_probe_warns_and_never_ends_the_wait() -> None:
    event = {"involvedObject": {"name": "web-1"}, "reason": "Unhealthy", "message": "HTTP probe: 500"}
    sights = Sights()
    for after in (0, 600):
        found = look(pod(), sights=sights, after=after, events=[event])[0]
        assert (found.code, found.final, found.after_seconds) == ("Unhealthy", False, None)


def test_a_pod_that_starts_normally_is_no_trouble() -> None:
    assert not look(waiting("ContainerCreating"), waiting("PodInitializing"), pod(phase="Running"))


def test_the_gravest_comes_first() -> None:
    found = look(waiting("RegistryUnavailable"), {**crashed(3), "metadata": {"name": "web-2"}})
    assert [each.code for each in found] == ["CrashLoopBackOff", "RegistryUnavailable"]
