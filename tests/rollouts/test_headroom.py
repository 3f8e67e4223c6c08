"""Room on nodes and in quotas, reckoned with what pods ask for: pure rules."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.integrations.kubernetes.headroom import (
    Need,
    asked_by,
    first_without_room,
    over_quota,
    rooms,
    surge_of,
)
from portal.integrations.kubernetes.workloads import Workload

Json = dict[str, Any]
READY = [{"type": "Ready", "status": "True"}]


def node(name: str = "n1", *, cpu: str = "2", memory: str = "4Gi", pods: str = "10", **spec: Any) -> Json:
    status = {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}, "conditions": READY}
    return {"metadata": {"name": name, "labels": {"disk": name}}, "spec": spec, "status": status}


def spec(cpu: str = "500m", memory: str = "1Gi", **more: Any) -> Json:
    resources = {"requests": {"cpu": cpu, "memory": memory}}
    return {"containers": [{"name": "app", "resources": resources}], **more}


def pod(on: str = "n1", phase: str = "Running", **asked: str) -> Json:
    return {"metadata": {"name": "p"}, "spec": {**spec(**asked), "nodeName": on}, "status": {"phase": phase}}


def workload(kind: str, replicas: int, **more: Any) -> Workload:
    metadata = {"name": "web", "namespace": "shop"}
    return Workload(
        {"kind": kind, "metadata": metadata, "spec": {"replicas": replicas, "template": {}, **more}}
    )


def rolling(surge: object) -> Json:
    return {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge}}}


@pytest.mark.parametrize(
    ("seen", "surge"),
    [
        (workload("Deployment", 3), 1),
        (workload("Deployment", 10, **rolling("25%")), 3),
        (workload("Deployment", 10, **rolling(2)), 2),
        (workload("Deployment", 10, **rolling(0)), 0),
        (workload("Deployment", 10, strategy={"type": "Recreate"}), 0),
        (workload("StatefulSet", 10), 0),
        (workload("Rollout", 10, strategy={"canary": {"maxSurge": "10%"}}), 1),
    ],
)
def test_a_rollout_needs_its_surge_and_no_more(seen: Workload, surge: int) -> None:
    assert surge_of(seen) == surge


def test_a_pod_asks_for_its_containers_or_its_greediest_init_container() -> None:
    init = [{"name": "migrate", "resources": {"requests": {"memory": "3Gi"}, "limits": {"cpu": "250m"}}}]
    asked = asked_by({**spec(), "initContainers": init})
    assert asked == {"cpu": Decimal("0.5"), "memory": Decimal(3 * 2**30), "pods": Decimal(1)}


@given(count=st.integers(0, 12), taken=st.integers(0, 5), nodes=st.integers(0, 3))
def test_as_many_fit_as_the_nodes_have_left(count: int, taken: int, nodes: int) -> None:
    names = [f"n{at}" for at in range(nodes)]
    there = [node(name, cpu="4", memory="4Gi") for name in names]
    running = [pod(name, memory="1Gi") for name in names for _each in range(taken)]
    lacking = first_without_room([Need(name="web", pods=count, spec=spec())], rooms(there, running))
    room = nodes * max(0, 4 - taken)
    assert (lacking is None) == (count <= room)
    assert lacking is None or lacking[1] == count - room


@pytest.mark.parametrize(
    "closed",
    [
        {"unschedulable": True},
        {"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]},
    ],
)
def test_a_node_that_takes_no_such_pods_is_no_room(closed: Json) -> None:
    needs = [Need(name="web", pods=1, spec=spec())]
    assert first_without_room(needs, rooms([node(**closed)], [])) is not None
    bound = [Need(name="web", pods=1, spec=spec(nodeSelector={"disk": "other"}))]
    assert first_without_room(bound, rooms([node()], [])) is not None


def test_a_pod_that_tolerates_a_taint_fits() -> None:
    gpu = node(taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}])
    tolerant = spec(tolerations=[{"key": "gpu", "operator": "Exists"}])
    assert first_without_room([Need(name="web", pods=1, spec=tolerant)], rooms([gpu], [])) is None


def test_a_fixed_port_of_a_node_is_taken_once() -> None:
    fixed = {"containers": [{"name": "app", "ports": [{"containerPort": 80, "hostPort": 8080}]}]}
    running = {"metadata": {"name": "p"}, "spec": {**fixed, "nodeName": "n1"}, "status": {"phase": "Running"}}
    need = [Need(name="web", pods=1, spec=fixed)]
    assert first_without_room(need, rooms([node()], [running])) is not None
    assert first_without_room(need, rooms([node(), node("n2")], [running])) is None
    two = [Need(name="web", pods=2, spec=fixed)]
    assert first_without_room(two, rooms([node(), node("n2")], [running])) == (two[0], 1)


def test_what_has_ended_takes_no_room() -> None:
    ended = [pod(phase="Succeeded", memory="4Gi"), pod(phase="Failed", memory="4Gi")]
    assert first_without_room([Need(name="web", pods=4, spec=spec())], rooms([node()], ended)) is None


def quota(hard: Json, used: Json, **more: Any) -> Json:
    return {"metadata": {"name": "q"}, "spec": {"hard": hard, **more}, "status": {"used": used}}


@pytest.mark.parametrize(
    ("found", "over"),
    [
        (quota({"pods": "5"}, {"pods": "4"}), "pods"),
        (quota({"requests.memory": "4Gi"}, {"requests.memory": "3Gi"}), "requests.memory"),
        (quota({"cpu": "1"}, {"cpu": "500m"}), "cpu"),
        (quota({"pods": "6"}, {"pods": "4"}), None),
        (quota({"count/secrets": "1"}, {"count/secrets": "1"}), None),
        (quota({"pods": "1"}, {"pods": "1"}, scopes=["BestEffort"]), None),
    ],
)
def test_what_a_quota_has_left_must_be_enough_for_all(found: Json, over: str | None) -> None:
    exceeded = over_quota([Need(name="web", pods=2, spec=spec())], [found])
    assert (exceeded[1] if exceeded else None) == over
