"""What of a cluster a rollout is told: never too little, and not each breath of a pod that starts."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from portal.integrations.kubernetes.trouble import INIT_RUNS, Sights, find_trouble
from releases.rollouts.urgency import EVENTS, PODS, Seen, Urgency

Json = dict[str, Any]
NOW = datetime(2026, 3, 2, tzinfo=UTC)
REASONS = (
    "ContainerCreating",
    "PodInitializing",
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "Other",
)

states = some.one_of(
    some.builds(lambda reason: {"waiting": {"reason": reason}}, some.sampled_from(REASONS)),
    some.just({"running": {"startedAt": "2026-03-02T00:00:00Z"}}),
    some.builds(
        lambda code, reason: {"terminated": {"exitCode": code, "reason": reason}},
        some.integers(0, 1),
        some.sampled_from(("Error", "OOMKilled", "Completed")),
    ),
)
statuses = some.fixed_dictionaries(
    {"name": some.just("web"), "state": states, "restartCount": some.integers(0, 2)},
    optional={"lastState": states, "started": some.booleans(), "image": some.text(max_size=2)},
)
pods = some.builds(
    lambda phase, ready, placed, containers, first: pod(
        phase, ready=ready, placed=placed, containerStatuses=containers, initContainerStatuses=first
    ),
    some.sampled_from(("Pending", "Running", "Failed", "Succeeded")),
    some.booleans(),
    some.booleans(),
    some.lists(statuses, max_size=1),
    some.lists(statuses, max_size=1),
)


def pod(phase: str = "Pending", *, ready: bool = False, placed: bool = True, **status: Any) -> Json:
    """A pod as a cluster tells of it."""
    conditions = [
        {"type": "Ready", "status": str(ready)},
        {"type": "PodScheduled", "status": str(placed), **({} if placed else {"reason": "Unschedulable"})},
    ]
    body = {"phase": phase, "conditions": conditions, **status}
    return {"metadata": {"uid": "one", "name": "web-1"}, "status": body}


def container(**state: Json) -> list[Json]:
    return [{"name": "web", "state": state}]


def workload(**status: Any) -> Json:
    """A Deployment on its way."""
    full = {
        "observedGeneration": 2,
        "replicas": 4,
        "updatedReplicas": 2,
        "availableReplicas": 3,
    }
    return {
        "metadata": {"uid": "two", "namespace": "shop", "name": "web", "generation": 2},
        "spec": {"replicas": 3, "progressDeadlineSeconds": 600},
        "status": {**full, **status},
    }


def seen(body: Json) -> set[object]:
    """What a step would read from a pod."""
    found = find_trouble(pods=[body], owner=None, sights=Sights(), now=NOW)
    ready = {each["status"] for each in body["status"]["conditions"] if each["type"] == "Ready"}
    return {
        *ready,
        *((each.code, each.container, each.restarts, each.final) for each in found if each.code != INIT_RUNS),
    }


@given(pods, pods)
def test_whatever_a_step_would_read_from_a_pod_is_told(before: Json, after: Json) -> None:
    watched = Seen(PODS)
    watched.judge("ADDED", before)
    if seen(before) != seen(after):
        assert watched.judge("MODIFIED", after) >= Urgency.SOON


def test_how_a_container_ended_before_it_was_started_again_is_told() -> None:
    watched = Seen(PODS)
    running = {"name": "web", "state": {"running": {}}, "restartCount": 1}
    ended = {"lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
    watched.judge("ADDED", pod("Running", containerStatuses=[running]))
    assert watched.judge("MODIFIED", pod("Running", containerStatuses=[running | ended])) == Urgency.SOON


@given(pods)
def test_a_pod_that_comes_with_trouble_is_told(body: Json) -> None:
    if seen(body) != {"False"}:
        assert Seen(PODS).judge("ADDED", body) >= Urgency.SOON


def test_a_pod_that_starts_is_told_when_it_is_ready_and_not_before() -> None:
    watched = Seen(PODS)
    way = [
        pod(),
        pod(placed=True),
        pod(containerStatuses=container(waiting={"reason": "ContainerCreating"})),
        pod("Running", containerStatuses=container(running={"startedAt": "2026-03-02T00:00:00Z"})),
        pod(
            "Running", ready=True, containerStatuses=container(running={"startedAt": "2026-03-02T00:00:00Z"})
        ),
    ]
    told = [watched.judge("MODIFIED" if number else "ADDED", body) for number, body in enumerate(way)]
    assert told == [Urgency.ROWS] * 4 + [Urgency.SOON]
    going = {**way[-1], "metadata": {**way[-1]["metadata"], "deletionTimestamp": "2026-03-02T00:01:00Z"}}
    assert watched.judge("MODIFIED", going) == Urgency.ROWS
    assert watched.judge("DELETED", going) == Urgency.SOON


def test_a_workload_is_told_at_once_when_it_is_done_or_cannot_be() -> None:
    watched = Seen("deployments")
    assert watched.judge("ADDED", workload()) == Urgency.SOON
    assert watched.judge("MODIFIED", workload()) == Urgency.ROWS
    assert watched.judge("MODIFIED", workload(replicas=5)) == Urgency.ROWS
    assert watched.judge("MODIFIED", workload(updatedReplicas=3)) == Urgency.SOON
    done = {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}
    assert watched.judge("MODIFIED", workload(**done)) == Urgency.NOW
    stuck = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    assert watched.judge("MODIFIED", workload(conditions=stuck)) == Urgency.NOW
    assert watched.judge("LISTED", {}) == Urgency.NOW


def test_a_size_that_falls_is_told_at_once_when_the_pods_are_gone_and_not_when_it_was_seen() -> None:
    watched = Seen("deployments")
    pods = {"replicas": 4, "updatedReplicas": 4, "readyReplicas": 4, "availableReplicas": 4}
    assert watched.judge("ADDED", workload(**pods)) == Urgency.SOON
    gone = dict.fromkeys(pods, 3)
    assert watched.judge("MODIFIED", workload(**gone)) == Urgency.NOW


def test_what_keeps_pods_from_being_made_is_told_of_their_owner() -> None:
    failing = [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}]
    for plural in ("deployments", "rollouts"):
        watched = Seen(plural)
        watched.judge("ADDED", workload())
        assert watched.judge("MODIFIED", workload(conditions=failing)) == Urgency.SOON
        assert watched.judge("MODIFIED", workload(conditions=failing)) == Urgency.ROWS


def test_of_a_pod_the_board_is_shown_what_its_node_reports_until_it_goes() -> None:
    watched = Seen(PODS)
    waits = container(waiting={"reason": "ContainerCreating"})
    runs = [{**each, "imageID": "web@sha256:1"} for each in container(running={})]
    one = pod("Running", containerStatuses=runs)
    other = pod("Running", containerStatuses=[{**runs[0], "imageID": "web@sha256:2"}])
    going = {**one, "metadata": {**one["metadata"], "deletionTimestamp": "2026-03-02T00:01:00Z"}}
    way = [
        ("ADDED", pod(), False),
        ("MODIFIED", pod(containerStatuses=waits), False),
        ("MODIFIED", one, True),
        ("MODIFIED", pod("Running", ready=True, containerStatuses=runs), False),
        ("MODIFIED", other, True),
        ("MODIFIED", one, True),
        ("MODIFIED", going, True),
        ("MODIFIED", going, False),
        ("DELETED", going, False),
        ("LISTED", {}, True),
        ("MODIFIED", one, True),
    ]
    assert [watched.shows(kind, body) for kind, body, _shown in way] == [shown for *_way, shown in way]


def test_no_event_is_shown_and_every_workload_is() -> None:
    assert [Seen(plural).shows("MODIFIED", workload()) for plural in (EVENTS, "deployments")] == [False, True]


def test_after_a_list_every_change_is_told_as_nobody_knows_what_it_was_before() -> None:
    watched = Seen(PODS)
    watched.judge("ADDED", pod("Running", ready=True))
    assert watched.judge("LISTED", {}) == Urgency.SOON
    assert watched.judge("MODIFIED", pod("Running")) == Urgency.SOON
    assert watched.judge("MODIFIED", pod("Running")) == Urgency.ROWS


def test_what_only_an_event_tells_is_told_once() -> None:
    seen = Seen(EVENTS)

    def event(reason: str, uid: str = "one", count: int = 1) -> Json:
        return {"metadata": {"uid": uid, "resourceVersion": str(count)}, "reason": reason, "count": count}

    told = [
        seen.judge("ADDED", event("FailedCreatePodSandBox")),
        seen.judge("MODIFIED", event("FailedCreatePodSandBox", count=2)),
        seen.judge("ADDED", event("BackOff", uid="two")),
        seen.judge("ADDED", event("Unhealthy", uid="three")),
        seen.judge("ADDED", event("FailedMount", uid="four")),
        seen.judge("ADDED", event("FailedAttachVolume", uid="five")),
        seen.judge("DELETED", event("FailedCreatePodSandBox", count=2)),
    ]
    assert told == [Urgency.SOON, Urgency.ROWS, Urgency.ROWS, *[Urgency.SOON] * 3, Urgency.ROWS]


def test_the_end_of_a_jobs_pod_is_told_at_once() -> None:
    known = Seen(PODS)
    known.judge("ADDED", pod())
    assert known.judge("MODIFIED", pod("Running")) < Urgency.NOW
    assert known.judge("MODIFIED", pod("Succeeded")) == Urgency.NOW
    assert known.judge("MODIFIED", pod("Succeeded")) == Urgency.ROWS
