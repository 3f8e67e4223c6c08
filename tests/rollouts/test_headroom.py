"""Room on nodes and in quotas, reckoned with what pods ask for: pure rules."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.integrations.kubernetes.headroom import (
    Act,
    Need,
    asked_by,
    first_without_room,
    needs_of,
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


def daemon_set(nodes: int, *, kind: str = "RollingUpdate", **how: Any) -> Workload:
    """One pod for each of so many nodes."""
    found = workload("DaemonSet", 0, updateStrategy={"type": kind, "rollingUpdate": how})
    return Workload({**found.raw, "status": {"desiredNumberScheduled": nodes}})


def routed(**how: Any) -> Workload:
    """Ten pods under Argo Rollouts, whose canary gets its share from a router."""
    return workload("Rollout", 10, strategy={"canary": {"trafficRouting": {"nginx": {}}, **how}})


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
        (workload("Rollout", 10, strategy={"blueGreen": {"activeService": "web"}}), 10),
        (routed(), 10),
        (routed(dynamicStableScale=True, steps=[{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}]), 4),
        (daemon_set(5), 0),
        (daemon_set(5, maxSurge="50%"), 3),
        (daemon_set(5, kind="OnDelete", maxSurge=2), 0),
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


def named(name: str, now: int, surge: int = 0) -> Workload:
    """A Deployment that runs so many pods."""
    found = workload("Deployment", now, **rolling(surge))
    template = {"metadata": {}, "spec": spec()}
    metadata = {**found.raw["metadata"], "name": name}
    return Workload({**found.raw, "metadata": metadata, "spec": {**found.raw["spec"], "template": template}})


def pods_of(*waves: list[Act]) -> list[dict[str, int]]:
    """What each wave needs, by workload."""
    return [{need.name.partition("/")[2]: need.pods for need in needs} for needs in needs_of(waves)]


def test_a_colour_that_grows_needs_all_its_pods_until_the_other_one_has_gone() -> None:
    idle, live, web = named("green", 0, 1), named("blue", 15, 1), named("web", 4, 2)
    grown = [Act(workload=idle, size=size) for size in (5, 10, 15)]
    shrunk = [Act(workload=live, size=size) for size in (10, 5)]
    needs = pods_of([Act(workload=idle), *grown], [Act(workload=web)], shrunk, [Act(workload=idle, size=0)])
    assert needs == [{"green": 15}, {"green": 15, "web": 2}, {"green": 15}, {"green": 15}]


def test_a_surge_is_that_of_the_size_then() -> None:
    web = Workload({**named("web", 4).raw})
    web.spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%"}}
    assert pods_of([Act(workload=web)]) == [{"web": 2}]
    assert pods_of([Act(workload=web, size=8), Act(workload=web)]) == [{"web": 8}]
    assert pods_of([Act(workload=web), Act(workload=web, size=8)]) == [{"web": 4}]


def test_what_shrinks_is_no_room_for_others() -> None:
    old, new = named("old", 5), named("new", 0)
    assert pods_of([Act(workload=old, size=0), Act(workload=new, size=5)]) == [{"new": 5}]


WORKLOADS = [named("a", 0), named("b", 3, 2), named("c", 10, 4), daemon_set(4, maxSurge=2)]
WORKLOADS[3].spec["template"] = {"metadata": {}, "spec": spec()}
acts = st.builds(Act, workload=st.sampled_from(WORKLOADS), size=st.none() | st.integers(0, 20)).filter(
    lambda act: act.size is None or act.workload.reference.kind != "DaemonSet"
)
waves_of_acts = st.lists(st.lists(acts, max_size=4), min_size=1, max_size=4)


def total(needs: list[Need]) -> int:
    return sum(need.pods for need in needs)


@given(waves=waves_of_acts)
def test_a_plan_never_needs_less_than_one_of_its_steps_alone(waves: list[list[Act]]) -> None:
    for needs, acts_of_wave in zip(needs_of(waves), waves, strict=True):
        for act in acts_of_wave:
            assert total(needs) >= total(needs_of([[act]])[0])


@given(waves=waves_of_acts, more=acts, data=st.data())
def test_more_steps_at_once_never_need_less(waves: list[list[Act]], more: Act, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(waves) - 1))
    place = data.draw(st.integers(0, len(waves[number])))
    fuller = [*waves]
    fuller[number] = [*waves[number][:place], more, *waves[number][place:]]
    assert total(needs_of(fuller)[number]) >= total(needs_of(waves)[number])


@given(waves=waves_of_acts)
def test_no_workload_needs_more_than_its_largest_size_and_its_surge(waves: list[list[Act]]) -> None:
    largest: dict[str, int] = {}
    for act in (act for acts_of_wave in waves for act in acts_of_wave):
        name, now = str(act.workload.reference), act.workload.replicas
        largest[name] = max(largest.get(name, now), act.size or 0)
    seen = {str(each.reference): each for each in WORKLOADS}
    for need in (need for needs in needs_of(waves) for need in needs):
        size = largest[need.name]
        assert 0 < need.pods <= size - seen[need.name].replicas + surge_of(seen[need.name], size)


def test_pods_of_a_daemon_set_need_a_place_each_on_the_nodes_that_take_them() -> None:
    each = Need(name="agent", pods=3, spec=spec(memory="3Gi"), apart=True)
    three = [node(name) for name in ("n1", "n2", "n3")]
    assert first_without_room([each], rooms(three, [])) is None
    assert first_without_room([each], rooms([*three[:2], node("n3", unschedulable=True)], [])) is None
    full = [pod("n2", memory="2Gi")]
    assert first_without_room([each], rooms(three, full)) == (each, 1)
    small = Need(name="agent", pods=3, spec=spec(memory="1Gi"), apart=True)
    assert first_without_room([small], rooms([node(memory="8Gi")], [])) is None
