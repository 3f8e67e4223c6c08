"""Habits of real clusters are named before the start, or end in a named failure, never in a false success."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from portal.live.models import Event
from releases.rollouts import operations, plans, texts
from tests.cluster.api import Json, from_kubeconfig
from tests.cluster.conftest import USES_CONTROL_PLANE, Cluster
from tests.cluster.contract.autoscaling import autoscaler
from tests.cluster.controlplane import nodes
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import Space, condition, deployment, ends_late, failing, stateful_set
from tests.rollouts.floor import EACH, Floor, digest_for, drive, why
from tests.soak import long

ENDS = ("succeeded", "failed", "paused")
BACK = ("rolled_back", "rollback_failed", "paused")
OLD = f"registry.test/floor/api:1.0.0@{digest_for('api', '1.0.0')}"
BARE = ({"kind": "set_image"}, {"kind": "wait_rollout", "timeoutSeconds": 60})
PROBE = {"httpGet": {"path": "/health", "port": 8080}}
SETTLING = ({"kind": "set_image"}, {"kind": "wait_rollout", "timeoutSeconds": 60, "settleSeconds": 1})


def before_the_start(floor: Floor) -> tuple[str, str]:
    """What the dry run notes, and what it says would fail."""
    with translation.override("en"):
        planned = plans.preview(floor.release("9.9.9"))
    notes = [note for step in planned.steps for note in step.notes]
    return "\n".join(notes), "\n".join(step.error for step in planned.errors)


def container(**more: Any) -> dict[str, Any]:
    return {"containers": [{"name": "web", "image": "registry.test/floor/api:1.0.0", **more}]}


def of_another_kind(
    lay_floor: Lay, *, after: Sequence[dict[str, Any]] = (), settled: bool = True, **spec: Any
) -> Floor:
    """A floor whose one service is a StatefulSet."""
    body = stateful_set("api", image=OLD, replicas=2, **spec)
    floor = lay_floor(objects={"api": body}, unsettled=("api",), after=after)
    service = floor.services["api"]
    service.spec["workloads"][0]["kind"] = "StatefulSet"
    service.save(update_fields=["spec"])
    if settled:
        floor.space.wait("statefulsets", "api", lambda seen: seen["status"].get("readyReplicas") == 2)
    return floor


@long
def test_without_a_readiness_probe_success_says_that_it_says_little(lay_floor: Lay, client: Client) -> None:
    floor = lay_floor()
    assert "no readiness probe (web)" in before_the_start(floor)[0]
    assert "`settleSeconds`" in before_the_start(floor)[0]
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    client.force_login(floor.shop.cast.author)
    page = client.get(f"/rollouts/{rollout.pk}/", headers={"accept-language": "en"}).content.decode()
    assert "no readiness probe (web), so this says little" in page


@long
def test_with_one_nothing_is_noted(lay_floor: Lay) -> None:
    probed = container(readinessProbe=PROBE)
    floor = lay_floor(each=SETTLING, objects={"api": deployment("api", pod_spec=probed)})
    assert before_the_start(floor) == ("", "")


@long
def test_a_port_of_the_node_is_named(lay_floor: Lay) -> None:
    fixed = container(ports=[{"containerPort": 8080, "hostPort": 18080}])
    floor = lay_floor(objects={"api": deployment("api", pod_spec=fixed)})
    assert "fixed ports of their nodes (18080)" in before_the_start(floor)[0]


@long
def test_an_autoscaler_that_aims_at_nothing_is_named(lay_floor: Lay) -> None:
    floor = lay_floor()
    floor.space.create(autoscaler("api", minimum=1, maximum=3))
    stray = autoscaler("api-old", minimum=1, maximum=3)
    stray["spec"]["scaleTargetRef"]["name"] = "api-before"
    floor.space.create(stray)
    notes = before_the_start(floor)[0]
    assert "The autoscaler api-old aims at deployment/api-before, which does not exist" in notes
    assert "autoscaler api aims" not in notes


@long
def test_pods_that_change_by_hand_alone_are_refused_before_the_start(lay_floor: Lay) -> None:
    floor = of_another_kind(lay_floor, updateStrategy={"type": "OnDelete"})
    assert "not updated by rolling" in before_the_start(floor)[1]


@long
def test_a_partition_is_named_and_never_taken_for_the_whole(lay_floor: Lay) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    verified = {"kind": "verify_digests", "timeoutSeconds": 2}
    floor = of_another_kind(lay_floor, after=[verified], updateStrategy=rolling)
    assert "with a number below 1 keep what they run" in before_the_start(floor)[0]
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "failed", why(rollout)
    assert rollout.steps.get(state="failed").failure["code"] == "digests_differ"  # type: ignore[index]


@long
def test_of_several_containers_only_the_named_ones_change(lay_floor: Lay) -> None:
    beside = {"name": "logs", "image": "registry.test/floor/logs:7"}
    pod = {"containers": [*container()["containers"], beside]}
    floor = lay_floor(
        objects={"api": deployment("api", pod_spec=pod)},
        after=[{"kind": "verify_digests", "timeoutSeconds": 5}],
    )
    release = floor.release()
    changed = [(step.kind, each["field"]) for step in plans.preview(release).steps for each in step.differing]
    assert changed == [("set_image", "image[web]")]
    rollout = drive(operations.start_rollout(release.number, actor=floor.actor), *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    template = floor.space.get("deployments", "api")["spec"]["template"]["spec"]
    images_now = {each["name"]: each["image"] for each in template["containers"]}
    assert images_now == {"web": floor.wanted("api", "2.0.0"), "logs": beside["image"]}


@long
def test_with_several_containers_and_none_named_nothing_begins(lay_floor: Lay) -> None:
    pod = {
        "containers": [*container()["containers"], {"name": "logs", "image": "registry.test/floor/logs:7"}]
    }
    floor = lay_floor(objects={"api": deployment("api", pod_spec=pod)})
    service = floor.services["api"]
    del service.spec["workloads"][0]["containers"]
    service.save(update_fields=["spec"])
    assert "The catalog does not say which container: web, logs" in before_the_start(floor)[1]
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "failed", why(rollout)
    assert (rollout.steps.get(kind="set_image").failure or {})["code"] == "containers_unnamed"
    assert floor.image("api") == "registry.test/floor/api:1.0.0"


@long
def test_one_image_in_a_container_and_an_init_container_goes_into_both(lay_floor: Lay) -> None:
    image = "registry.test/floor/api:1.0.0"
    both = {
        "containers": [{"name": "web", "image": image}],
        "initContainers": [{"name": "migrate", "image": image}],
    }
    floor = lay_floor(objects={"api": deployment("api", pod_spec=both)})
    service = floor.services["api"]
    service.spec["workloads"][0]["containers"] = ["web", "migrate"]
    service.save(update_fields=["spec"])
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    pod = floor.space.get("deployments", "api")["spec"]["template"]["spec"]
    images = {each["name"]: each["image"] for each in [*pod["containers"], *pod["initContainers"]]}
    assert set(images.values()) == {floor.wanted("api", "2.0.0")}


@long
def test_one_image_in_two_workloads_goes_into_both(lay_floor: Lay) -> None:
    floor = lay_floor(each=EACH)
    floor.space.create(deployment("api-worker", image="registry.test/floor/api:1.0.0"))
    floor.space.settle("api-worker")
    service = floor.services["api"]
    service.spec["workloads"].append({"kind": "Deployment", "name": "api-worker", "containers": ["web"]})
    service.save(update_fields=["spec"])
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    assert {floor.image("api"), floor.image("api-worker")} == {floor.wanted("api", "2.0.0")}


@long
def test_pods_that_crash_once_they_are_ready_are_no_success(lay_floor: Lay) -> None:
    marks = failing("CrashAfterReady", after="1s", backoff="500ms")
    body = deployment("api", image="registry.test/floor/api:1.0.0", pod_annotations=marks)
    settling = ({"kind": "set_image"}, {"kind": "wait_rollout", "timeoutSeconds": 60, "settleSeconds": 20})
    rollout = drive(lay_floor(each=settling, objects={"api": body}, unsettled=("api",)).start(), *ENDS)
    failure = rollout.steps.get(kind="wait_rollout").failure
    assert rollout.state == "failed", why(rollout)
    assert failure is not None
    assert failure["code"] == "CrashLoopBackOff"


@long
def test_pods_that_crash_once_they_are_ready_are_no_success_where_the_plan_names_no_time(
    cluster: Cluster, lay_floor: Lay
) -> None:
    floor = lay_floor(each=BARE)
    assert "watched for 10 s" in before_the_start(floor)[0]
    with failing_images(cluster, floor, "CrashAfterReady"):
        rollout = drive(floor.start(), *ENDS, seconds=60)
    assert rollout.state == "failed", why(rollout)
    failure = rollout.steps.get(kind="wait_rollout").failure or {}
    assert failure["code"] == "CrashLoopBackOff"


@long
@pytest.mark.skipif(USES_CONTROL_PLANE, reason="simulated nodes write readiness themselves")
@pytest.mark.parametrize(("probe", "replicas"), [({}, 1), ({"readinessProbe": PROBE}, 2)])
def test_pods_that_are_ready_by_turns_are_no_success(
    cluster: Cluster, lay_floor: Lay, probe: Json, replicas: int
) -> None:
    each = ({"kind": "set_image"}, {"kind": "wait_rollout", "timeoutSeconds": 15})
    # Not all pods are ready the first time that one is.
    marks = failing("LateReady", after="2s")
    body = deployment("api", replicas=replicas, pod_spec=container(**probe), pod_annotations=marks)
    floor = lay_floor(each=each, objects={"api": body})
    with flapping(cluster, floor):
        rollout = drive(floor.start(), *ENDS, seconds=60)
    assert rollout.state == "failed", why(rollout)
    failure = rollout.steps.get(kind="wait_rollout").failure or {}
    assert failure["code"] == "timeout", failure


@contextlib.contextmanager
def flapping(cluster: Cluster, floor: Floor) -> Iterator[None]:
    """Let each new pod of `api` lose its readiness over and over, as a probe that fails now and then does."""
    over = threading.Event()

    def flap() -> None:
        api = from_kubeconfig(cluster.kubeconfig_path)
        assert api is not None
        with contextlib.closing(api):
            space = floor.space.seen_by(api)
            while not over.wait(0.5):
                turn(space)

    def turn(space: Space) -> None:
        for pod in space.pods("api"):
            image = pod["spec"]["containers"][0]["image"]
            said = condition(pod, "Ready")
            starts = not said or said.get("reason") == "ContainersNotReady"
            if starts or image != floor.wanted("api", "2.0.0"):
                continue
            at = {"lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
            turned = {"type": "Ready", "status": "False" if said["status"] == "True" else "True", **at}
            body = {"status": {"conditions": [turned]}}
            space.patch("pods", pod["metadata"]["name"], body, sub="status")

    thread = threading.Thread(target=flap)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@long
def test_pods_that_cannot_start_where_there_were_none_are_named(lay_floor: Lay) -> None:
    marks = failing("ErrImagePull", message="rpc error: registry.test/floor/api: not found")
    body = deployment("api", image="registry.test/floor/api:1.0.0", replicas=0, pod_annotations=marks)
    floor = lay_floor(objects={"api": body})
    grown = {"kind": "scale", "service": "api", "replicas": 1, "timeoutSeconds": 15}
    floor.plan.spec["waves"][0]["after"] = [grown]
    floor.plan.save(update_fields=["spec"])
    rollout = drive(floor.start(), *ENDS)
    failure = rollout.steps.get(kind="scale").failure
    assert rollout.state == "failed", why(rollout)
    assert failure is not None
    assert failure["code"] == "ErrImagePull"


@long
def test_pods_that_crash_once_they_are_ready_are_no_success_where_there_were_none(lay_floor: Lay) -> None:
    marks = failing("CrashAfterReady", after="1s", backoff="500ms")
    body = deployment("api", image="registry.test/floor/api:1.0.0", replicas=0, pod_annotations=marks)
    floor = lay_floor(objects={"api": body})
    floor.plan.spec["waves"][0]["after"] = [{"kind": "scale", "service": "api", "replicas": 1}]
    floor.plan.save(update_fields=["spec"])
    assert "watched for 10 s" in before_the_start(floor)[0]
    rollout = drive(floor.start(), *ENDS, seconds=60)
    assert rollout.state == "failed", why(rollout)
    failure = rollout.steps.get(kind="scale").failure or {}
    assert failure["code"] == "CrashLoopBackOff"


@long
def test_an_init_container_that_waits_for_another_service_is_named(lay_floor: Lay, client: Client) -> None:
    waits = {**container(), "initContainers": [{"name": "wait-for-db", "image": "registry.test/wait:1"}]}
    marks = failing("LateReady", after="10m", container="wait-for-db")
    floor = lay_floor(
        each=({"kind": "set_image"}, {"kind": "wait_rollout", "timeoutSeconds": 25}),
        objects={"api": deployment("api", pod_spec=waits, pod_annotations=marks)},
        unsettled=("api",),
    )
    rollout = drive(floor.start(), *ENDS, seconds=60)
    assert rollout.state == "failed", why(rollout)
    failure = rollout.steps.get(kind="wait_rollout").failure or {}
    assert (failure["code"], failure["container"]) == ("InitRuns", "wait-for-db")
    client.force_login(floor.shop.cast.author)
    page = client.get(f"/rollouts/{rollout.pk}/", headers={"accept-language": "en"}).content.decode()
    assert "An init container goes on and on; does it wait for another service?: wait-for-db runs" in page


@long
def test_a_stateful_set_that_waits_for_an_old_pod_names_it(lay_floor: Lay) -> None:
    broken = failing("CreateContainerConfigError", message='secret "store" not found')
    floor = of_another_kind(lay_floor, pod_annotations=broken, settled=False)
    rollout = drive(floor.start(), *ENDS, seconds=60)
    assert rollout.state == "failed", why(rollout)
    failure = rollout.steps.get(state="failed").failure or {}
    assert (failure["code"], failure["pod"]) == ("OldPodInTheWay", "api-0")
    assert failure["message"] == 'CreateContainerConfigError: secret "store" not found'


@contextlib.contextmanager
def failing_images(cluster: Cluster, floor: Floor, reason: str) -> Iterator[None]:
    """Let the pods of a new version of `api` fail, and no others.

    The practice cluster reads how from the image's name; a real one marks the pods that ask for it.
    """
    service = floor.services["api"]
    service.image = f"registry.test/fail-{reason.lower()}/api"
    service.save(update_fields=["image"])
    if cluster.kind == "practice":
        yield
        return
    with nodes.marked(cluster.admin, reason, [floor.wanted("api", "2.0.0")]):
        yield


@long
@pytest.mark.parametrize(("reason", "code"), [("ErrImagePull", "ErrImagePull"), ("NeverReady", "Unhealthy")])
def test_a_stateful_set_stuck_at_its_first_new_pod_names_it_forward_and_back(
    cluster: Cluster, lay_floor: Lay, reason: str, code: str
) -> None:
    floor = of_another_kind(lay_floor)
    floor.plan.spec["each"] = [{"kind": "set_image"}, {"kind": "wait_rollout", "timeoutSeconds": 12}]
    floor.plan.save(update_fields=["spec"])
    with failing_images(cluster, floor, reason):
        rollout = drive(floor.start(), *ENDS, seconds=60)
    assert rollout.state == "failed", why(rollout)
    failure = rollout.steps.get(state="failed").failure or {}
    assert (failure["code"], failure["pod"]) == (code, "api-1")
    assert images(floor) == [OLD, floor.wanted("api", "2.0.0")]
    # The set asks for the old image again, but replaces no pod while one is not ready: a person deletes it.
    floor.order(rollout, "rollback")
    drive(rollout, *BACK, seconds=60)
    assert rollout.state == "rollback_failed", why(rollout)
    stuck = rollout.steps.get(direction="back", state="failed")
    failure = stuck.failure or {}
    assert (failure["code"], failure["pod"]) == ("OldPodInTheWay", "api-1")
    assert failure["message"].startswith(f"{code}: ")
    floor.space.delete("pods", "api-1")
    floor.order(rollout, "retry", step=stuck)
    drive(rollout, "rolled_back", seconds=60)
    assert images(floor) == [OLD, OLD]


def images(floor: Floor) -> list[str]:
    """What each pod asks for, by its number."""
    pods = sorted(floor.space.pods("api"), key=lambda pod: str(pod["metadata"]["name"]))
    return [pod["spec"]["containers"][0]["image"] for pod in pods]


GRACE = {"terminationGracePeriodSeconds": 120}


@long
def test_old_pods_that_take_their_time_to_end_are_waited_for_and_told_of(lay_floor: Lay) -> None:
    floor = of_another_kind(lay_floor, pod_annotations=ends_late("3s"), pod_spec=GRACE)
    rollout = drive(floor.start(), *ENDS, seconds=60)
    assert rollout.state == "succeeded", why(rollout)
    with translation.override("en"):
        told = [texts.event(each) for each in Event.objects.filter(topic=rollout.topic)]
    assert "api: Wait for the rollout: 1/2 ready; 1 pods are ending, each is given 120 s" in told
    assert images(floor) == [floor.wanted("api", "2.0.0")] * 2


@long
def test_a_wait_that_is_over_before_they_have_ended_is_named_before_the_start_and_by_its_failure(
    lay_floor: Lay,
) -> None:
    floor = of_another_kind(lay_floor, pod_annotations=ends_late("20s"), pod_spec=GRACE)
    floor.plan.spec["each"][1]["timeoutSeconds"] = 4
    floor.plan.save(update_fields=["spec"])
    notes = before_the_start(floor)[0]
    assert "The old pods of statefulset/api are given 120 s to end" in notes
    assert "up to 240 s, but after 4 s (`timeoutSeconds`)" in notes
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "failed", why(rollout)
    failure = rollout.steps.get(kind="wait_rollout").failure or {}
    assert (failure["code"], failure["args"]["count"], failure["args"]["grace"]) == ("still_ending", 1, 120)


@long
def test_a_deployments_own_deadline_begins_only_when_its_old_pods_have_ended(lay_floor: Lay) -> None:
    body = deployment(
        "api",
        pod_annotations=ends_late("12s"),
        pod_spec=GRACE,
        strategy={"type": "Recreate"},
        progressDeadlineSeconds=10,
    )
    floor = lay_floor(objects={"api": body})
    floor.space.settle("api")
    assert "up to 120 s, but after 60 s (`timeoutSeconds`)" in before_the_start(floor)[0]
    rollout = drive(floor.start(), *ENDS, seconds=60)
    assert rollout.state == "succeeded", why(rollout)


@long
def test_what_was_wrong_with_pods_that_are_to_end_is_no_trouble_of_a_smaller_size(lay_floor: Lay) -> None:
    marks = {**failing("CreateContainerConfigError"), **ends_late("20s")}
    floor = of_another_kind(
        lay_floor, pod_annotations=marks, pod_spec=GRACE, podManagementPolicy="Parallel", settled=False
    )
    smaller = {"kind": "scale", "service": "api", "replicas": 0, "timeoutSeconds": 4}
    floor.plan.spec["waves"][0]["before"] = [smaller]
    floor.plan.save(update_fields=["spec"])
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "failed", why(rollout)
    failure = rollout.steps.get(kind="scale").failure or {}
    assert (failure["code"], failure["args"]["count"]) == ("still_ending", 2)
