"""The traffic led to other pods after a wave, checked by the addresses, and led back."""

import signal
from typing import Any

from portal import jobs
from releases.rollouts import engine, plans
from tests.cluster.api import Json
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import deployment, service
from tests.embedded.processes import wait_for
from tests.rollouts.floor import Floor, drive, kinds, until, why
from tests.rollouts.processes import processes
from tests.soak import long

ENDS = ("failed", "succeeded", "paused")
NAMES = ("shop", "shop-admin")


def two_colours(lay_floor: Lay, *, replicas: int = 1, **spec: Any) -> Floor:
    """A floor with Services on `blue`, whose plan rolls `green` out and switches to it."""
    green = deployment("green", image="registry.test/floor/green:1.0.0", replicas=replicas, **spec)
    floor = lay_floor(services=("green",), objects={"green": green})
    floor.space.create(deployment("blue"))
    floor.space.settle("blue")
    for name in NAMES:
        floor.space.create(service(name, selector={"app": "blue"}))
    switch = {
        "kind": "switch_service",
        "service": "green",
        "services": list(NAMES),
        "selector": {"app": "green"},
    }
    floor.plan.spec["waves"][0]["after"] = [switch]
    floor.plan.save(update_fields=["spec"])
    return floor


def selectors(floor: Floor) -> list[Json]:
    return [floor.space.get("services", name)["spec"]["selector"] for name in NAMES]


@long
def test_the_services_switch_together_and_back(lay_floor: Lay) -> None:
    floor = two_colours(lay_floor)
    release = floor.release()
    planned = next(each for each in plans.preview(release).steps if each.kind == "switch_service")
    assert [(each["before"], each["after"]) for each in planned.differing] == [("blue", "green")] * 2
    reasons = {(each["fact"], each["origin"]) for each in release.proposal["reasons"]}
    assert ("traffic_path", "plan:service/shop, service/shop-admin") in reasons
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    assert selectors(floor) == [{"app": "green"}] * 2
    floor.order(rollout, "rollback")
    drive(rollout, "rolled_back", "rollback_failed", "paused")
    assert rollout.state == "rolled_back", why(rollout)
    assert selectors(floor) == [{"app": "blue"}] * 2
    order = list(rollout.steps.filter(direction="back").values_list("kind", flat=True))
    assert order[:2] == ["restore_services", "restore_image"]


@long
def test_two_switches_in_a_row_rest_on_each_other(lay_floor: Lay) -> None:
    floor = two_colours(lay_floor)
    [switch] = floor.plan.spec["waves"][0]["after"]
    floor.space.patch("deployments", "green", _labelled({"stage": "full"}))
    floor.space.settle("green")
    floor.plan.spec["waves"][0]["after"] = [switch, {**switch, "id": "all", "selector": {"stage": "full"}}]
    floor.plan.save(update_fields=["spec"])
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    assert selectors(floor) == [{"app": "green", "stage": "full"}] * 2
    floor.order(rollout, "rollback")
    drive(rollout, "rolled_back", "rollback_failed", "paused")
    assert rollout.state == "rolled_back", why(rollout)
    assert selectors(floor) == [{"app": "blue"}] * 2


def _labelled(labels: Json) -> Json:
    return {"spec": {"template": {"metadata": {"labels": labels}}}}


@long
def test_traffic_is_not_led_to_where_no_pod_is_ready(lay_floor: Lay) -> None:
    floor = two_colours(lay_floor, replicas=0)
    rollout = drive(floor.start(), *ENDS)
    failure = rollout.steps.get(kind="switch_service").failure
    assert failure is not None
    assert (rollout.state, failure["code"]) == ("failed", "no_ready_pods")
    assert selectors(floor) == [{"app": "blue"}] * 2


@long
def test_it_is_not_led_back_either_to_where_no_pod_is_left(lay_floor: Lay) -> None:
    floor = two_colours(lay_floor)
    rollout = drive(floor.start(), *ENDS)
    floor.space.patch("deployments", "blue", {"spec": {"replicas": 0}})
    floor.space.settle("blue")
    floor.order(rollout, "rollback")
    drive(rollout, "rolled_back", "rollback_failed", "paused")
    step = rollout.steps.get(kind="restore_services")
    assert (rollout.state, (step.failure or {})["code"]) == ("rollback_failed", "no_ready_pods")
    assert selectors(floor) == [{"app": "green"}] * 2
    # Where none is left at the other side either there is nothing to lose.
    floor.space.patch("deployments", "green", {"spec": {"replicas": 0}})
    floor.space.settle("green")
    floor.order(rollout, "retry", step=step)
    drive(rollout, "rolling_back")
    assert selectors(floor) == [{"app": "blue"}] * 2


@long
def test_a_selector_that_somebody_else_changed_holds_the_switch(lay_floor: Lay) -> None:
    floor = two_colours(lay_floor, minReadySeconds=2)
    rollout = floor.start()
    engine.advance(rollout.pk)
    assert rollout.steps.get(kind="record_services").state == "succeeded"
    floor.space.patch("services", "shop", {"spec": {"selector": {"app": "other"}}}, kind="merge")
    drive(rollout, *ENDS)
    assert rollout.state == "paused", why(rollout)
    assert rollout.pause is not None
    assert rollout.pause["args"]["object"] == "service/shop"
    assert selectors(floor) == [{"app": "other"}, {"app": "blue"}]


@long
def test_a_worker_that_dies_after_the_switch_does_not_switch_again(lay_floor: Lay) -> None:
    floor = two_colours(lay_floor)
    with processes() as roles:
        doomed = roles.start(
            "worker", PORTAL_TEST_STOP_POINTS="on", PORTAL_STOP_AT="after_act:switch_service"
        )
        rollout = floor.start()
        assert wait_for(lambda: _swept() and doomed.poll() is not None, seconds=60)
        assert doomed.returncode == -signal.SIGKILL
        before = [floor.space.get("services", name)["metadata"]["resourceVersion"] for name in NAMES]
        roles.start("worker")
        until(rollout, *ENDS, seconds=40)
    assert rollout.state == "succeeded", why(rollout)
    assert [floor.space.get("services", name)["metadata"]["resourceVersion"] for name in NAMES] == before
    assert kinds(rollout).count("step.acted") == 2


def _swept() -> bool:
    jobs.sweep_once()
    return True
