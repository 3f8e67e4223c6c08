"""Health of every pod: of the colour, the canary and the actuator that a step is about, and of no other.

A Service answers for one pod, and for the colour that is live. What a pod says of its health its annotation
`practice/health` says; it is ready all the while.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from portal.errors import Conflict
from releases import gates
from releases.rollouts import engine, measuring, plans, texts
from releases.rollouts.models import Rollout
from tests.cluster.api import Json
from tests.cluster.conftest import Cluster
from tests.cluster.engine.conftest import Lay
from tests.cluster.engine.test_colours import two_colours
from tests.cluster.objects import deployment, failing, service, wait_for
from tests.cluster.rights import portal_account
from tests.factories import sign_off
from tests.rollouts.floor import EACH, Floor, drive, why
from tests.soak import long

pytestmark = long
ENDS = ("failed", "succeeded", "paused", "awaiting_signoff")
HEALTH: Json = {"kind": "http", "service": "shop", "port": 80, "path": "/health"}
IDLE: Json = {"kind": "health", "service": "shop", "colour": "idle", "timeoutSeconds": 3}
HOLD: Json = {"kind": "watch", "seconds": 1}
DOWN = {"practice/health": "DOWN"}


@pytest.fixture(scope="module")
def cluster(answering_cluster: Cluster) -> Cluster:
    """Pods are asked here."""
    return answering_cluster


def coloured(lay_floor: Lay, *, kind: str = "http", **idle: Any) -> Floor:
    """Two colours, the Service on the live one, and a look at the idle one before the sign-off."""
    floor = two_colours(lay_floor, checks=(), **idle)
    know(floor, {**HEALTH, "kind": kind}, of="shop")
    floor.plan.spec["waves"][0]["after"].append({**HOLD, "service": "shop"})
    floor.plan.spec["after"] = [IDLE]
    floor.plan.save(update_fields=["spec"])
    return floor


def know(floor: Floor, health: Json, *, of: str = "api") -> None:
    """Let the catalog say how the health of a service is asked."""
    own = floor.services[of]
    own.spec |= {"health": health}
    own.save(update_fields=["spec"])


def says(floor: Floor, owner: str, health: str, *, count: int = 1) -> list[str]:
    """Let so many pods of a workload say this of their health; returns their names."""
    names = sorted(pod["metadata"]["name"] for pod in floor.space.pods(owner))[:count]
    for name in names:
        floor.space.patch("pods", name, {"metadata": {"annotations": {"practice/health": health}}})
    return names


def holding(floor: Floor) -> Rollout:
    """A rollout whose new pods have come up, and which has not looked at their health yet."""
    rollout = floor.start()
    while not rollout.steps.filter(kind="watch", state="running").exists():
        engine.advance(rollout.pk)
    return rollout


def held(rollout: Rollout, kind: str = "health") -> str:
    """What the step of a rollout that did not go well says to people."""
    drive(rollout, *ENDS)
    step = rollout.steps.filter(state__in=("failed", "errored", "inconclusive")).get()
    assert (step.kind, rollout.state) == (kind, "failed"), why(rollout)
    with translation.override("en"):
        return texts.step_text(step)


def test_the_pods_of_the_new_colour_are_asked_and_not_those_of_the_live_one(lay_floor: Lay) -> None:
    floor = coloured(lay_floor)
    says(floor, "blue", "DOWN", count=3)
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "awaiting_signoff", why(rollout)
    assert rollout.steps.get(kind="health").observed["args"] == {"count": 3, "status": "HTTP 200"}


@pytest.mark.parametrize(("kind", "said"), [("http", "HTTP 503"), ("actuator", "DOWN")])
def test_one_pod_of_the_new_colour_that_is_not_well_is_named_before_the_sign_off(
    lay_floor: Lay, kind: str, said: str
) -> None:
    floor = coloured(lay_floor, kind=kind)
    rollout = holding(floor)
    [name] = says(floor, "green", "DOWN")
    assert held(rollout) == f"Not healthy within the time: {name}: {said}"
    assert floor.space.get("services", "shop")["spec"]["selector"] == {"color": "blue"}


def test_a_pod_that_falls_ill_while_the_superior_decides_turns_the_sign_off_off(lay_floor: Lay) -> None:
    floor = coloured(lay_floor)
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "awaiting_signoff", why(rollout)

    def measured(result: str) -> bool:
        for gate in gates.measured_now().filter(release=rollout.release_id, kind="health"):
            measuring.measure(gate.pk)
        return rollout.release.gates.get(kind="health").result == result

    [name] = says(floor, "green", "OUT_OF_SERVICE")
    wait_for(lambda: measured("breached"), what="the breach")
    with pytest.raises(Conflict) as refused:
        sign_off(rollout.release)
    assert name in str(refused.value.missing)
    says(floor, "green", "UP")
    wait_for(lambda: measured("passed"), what="its end")
    sign_off(rollout.release)
    drive(rollout, *set(ENDS) - {"awaiting_signoff"})
    assert rollout.state == "succeeded", why(rollout)


def test_a_colour_without_pods_is_not_well(lay_floor: Lay) -> None:
    floor = coloured(lay_floor)
    floor.plan.spec["waves"][0]["after"] = []
    floor.plan.save(update_fields=["spec"])
    said = held(floor.start())
    assert said == "There were no pods that could be asked: deployment/green"


def canaried(lay_floor: Lay, **canary: Any) -> Floor:
    """A stable workload and its canary behind one Service, by which a watch asks for the health."""
    floor = lay_floor(objects={"api": deployment("api", image="registry.test/floor/api:1.0.0", replicas=2)})
    floor.space.create(deployment("api-canary", image="registry.test/floor/api:1.0.0", replicas=0, **canary))
    floor.space.create(service("api", selector={"app": "api"}))
    own = floor.services["api"]
    own.spec["canary"] = {"stable": "api", "canary": "api-canary"}
    own.save(update_fields=["spec"])
    know(floor, {**HEALTH, "service": "api"})
    watch = {"seconds": 1, "everySeconds": 1, "gates": [{"kind": "health"}]}
    floor.plan.spec |= {"canary": {"by": "pods", "steps": [50, 100], "watch": watch}}
    floor.plan.save(update_fields=["spec"])
    return floor


def test_a_canary_that_is_not_well_is_named_although_its_service_answers_for_the_stable_one(
    lay_floor: Lay,
) -> None:
    floor = canaried(lay_floor, pod_annotations=DOWN)
    said = held(floor.start(), "watch")
    [pod] = floor.space.pods("api-canary")
    assert said.endswith(f"Not healthy: {pod['metadata']['name']}: HTTP 503"), said


def test_the_stable_pods_of_a_canary_that_is_well_do_not_matter(lay_floor: Lay) -> None:
    floor = canaried(lay_floor)
    says(floor, "api", "DOWN", count=2)
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    assert rollout.steps.filter(kind="watch", state="succeeded").count() == 2


def three(lay_floor: Lay, health: Json) -> Floor:
    """Three pods behind a Service, and a workload of the same service that no Service leads to."""
    each = (*EACH, {"kind": "watch", "seconds": 1}, {"kind": "health", "timeoutSeconds": 3})
    image = "registry.test/floor/api:1.0.0"
    floor = lay_floor(objects={"api": deployment("api", image=image, replicas=3)}, each=each)
    floor.space.create(deployment("api-worker", image=image, pod_annotations=DOWN))
    floor.space.settle("api-worker")
    floor.space.create(service("api", selector={"app": "api"}))
    own = floor.services["api"]
    own.spec["workloads"].append({"kind": "Deployment", "name": "api-worker", "containers": ["web"]})
    own.save(update_fields=["spec"])
    know(floor, {**HEALTH, "service": "api", **health})
    return floor


@pytest.mark.parametrize(
    ("health", "said"),
    [({"kind": "actuator"}, "DOWN"), ({"everyPod": True}, "HTTP 503")],
    ids=["actuator", "every pod"],
)
def test_one_of_three_pods_that_is_not_well_is_named(lay_floor: Lay, health: Json, said: str) -> None:
    floor = three(lay_floor, health)
    rollout = holding(floor)
    [name] = says(floor, "api", "DOWN")
    assert held(rollout) == f"Not healthy within the time: {name}: {said}"
    says(floor, "api", "UNKNOWN")
    floor.order(rollout, "retry", step=rollout.steps.get(kind="health"))
    drive(rollout, *set(ENDS) - {"failed"})
    assert rollout.state == "succeeded", why(rollout)
    assert rollout.steps.get(kind="health").observed["args"]["count"] == 3


def test_a_pod_that_does_not_run_has_not_answered_and_a_person_is_asked(lay_floor: Lay) -> None:
    floor = lay_floor(each=({"kind": "set_image"}, {"kind": "health", "timeoutSeconds": 3}))
    floor.space.create(service("api", selector={"app": "api"}))
    know(floor, {**HEALTH, "service": "api", "kind": "actuator"})
    stuck = {"spec": {"template": {"metadata": {"annotations": failing("ErrImagePull")}}}}
    floor.space.patch("deployments", "api", stuck)
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "paused", why(rollout)
    with translation.override("en"):
        said = texts.step_text(rollout.steps.get(kind="health"))
    assert said.startswith("Pods did not answer within the time: api-"), said


def test_the_catalog_may_leave_it_at_what_the_service_answers(lay_floor: Lay) -> None:
    floor = three(lay_floor, {"kind": "actuator", "everyPod": False})
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    assert rollout.steps.get(kind="health").observed["code"] == "healthy"


def lacking(floor: Floor, version: str, step: Json) -> list[str]:
    """What the dry run says of rights where the plan ends with this step."""
    floor.plan.spec["after"] = [step]
    floor.plan.save(update_fields=["spec"])
    planned = plans.preview(floor.release(version))
    return [each.error for each in planned.errors if each.kind == "access_check"]


def test_an_account_that_may_not_ask_pods_is_named_before_the_start(
    lay_floor: Lay, cluster: Cluster, tmp_path: Path
) -> None:
    floor = coloured(lay_floor)
    gate = {**HOLD, "service": "shop", "gates": [{"kind": "health"}]}
    with portal_account(cluster.admin, without="pods/proxy") as account:
        path = replace(cluster, limited=account).limited_kubeconfig(tmp_path)
        floor.environment.cluster.spec = {"kubeconfigRef": f"file:{path}"}
        floor.environment.cluster.save(update_fields=["spec"])
        assert lacking(floor, "2.0.0", gate) == []
        for number, step in enumerate((IDLE, {**gate, "colour": "idle"}), start=1):
            [said] = lacking(floor, f"2.0.{number}", step)
            assert said.endswith(": get pods/proxy")
