"""kubectl's rules for the end of a rollout, by example."""

from typing import Any

import pytest

from portal.integrations.kubernetes.rollout_status import judge
from portal.integrations.kubernetes.workloads import Workload, merged

Json = dict[str, Any]


def deployment(status: Json, *, generation: int = 2, replicas: int | None = 3, **spec: Any) -> Workload:
    template = {"spec": {"containers": [{"name": "web", "image": "shop/web:2"}]}}
    wanted = {} if replicas is None else {"replicas": replicas}
    metadata = {"name": "web", "namespace": "shop", "generation": generation, "resourceVersion": "1"}
    body = {"kind": "Deployment", "metadata": metadata, "spec": {**wanted, "template": template, **spec}}
    return Workload({**body, "status": {"observedGeneration": 2, **status}})


def stateful_set(status: Json, **spec: Any) -> Workload:
    found = deployment(status, **spec)
    return Workload({**found.raw, "kind": "StatefulSet"})


FULL = {"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3}


@pytest.mark.parametrize(
    ("status", "waits_for"),
    [
        (FULL, ""),
        ({**FULL, "observedGeneration": 1}, "observed"),
        ({**FULL, "updatedReplicas": 2}, "updated"),
        ({**FULL, "replicas": 4}, "old_pods"),
        ({**FULL, "availableReplicas": 2}, "available"),
        ({}, "updated"),
    ],
)
def test_the_first_rule_that_holds_decides(status: Json, waits_for: str) -> None:
    found = judge(deployment(status))
    assert (found.done, found.waits_for) == (not waits_for, waits_for)


def test_a_deployment_of_none_is_done_at_once() -> None:
    assert judge(deployment({}, replicas=0)).done


def test_replicas_left_out_are_one() -> None:
    found = judge(deployment({"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}, replicas=None))
    assert (found.done, found.wanted) == (True, 1)


def test_a_paused_deployment_is_never_done() -> None:
    assert judge(deployment(FULL, paused=True)).waits_for == "unpaused"


def test_the_deadline_is_a_failure_with_the_controllers_words() -> None:
    condition = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    found = judge(deployment({**FULL, "updatedReplicas": 1, "conditions": [condition]}))
    assert (found.failure, found.message) == ("deadline_exceeded", "timed out")


def test_the_status_of_another_image_is_not_believed() -> None:
    assert judge(deployment(FULL), images={"web": "shop/web:3"}).waits_for == "template"
    assert judge(deployment(FULL), images={"web": "shop/web:2"}).done


@pytest.mark.parametrize(
    ("status", "spec", "waits_for"),
    [
        ({**FULL, "updateRevision": "b", "currentRevision": "b"}, {}, ""),
        ({**FULL, "updateRevision": "b", "currentRevision": "a"}, {}, "old_pods"),
        ({**FULL, "readyReplicas": 2}, {}, "ready"),
        ({**FULL, "observedGeneration": 0}, {}, "observed"),
        ({**FULL, "updatedReplicas": 1}, {"updateStrategy": {"rollingUpdate": {"partition": 2}}}, ""),
        ({**FULL, "updatedReplicas": 0}, {"updateStrategy": {"rollingUpdate": {"partition": 2}}}, "updated"),
    ],
)
def test_a_stateful_set_has_rules_of_its_own(status: Json, spec: Json, waits_for: str) -> None:
    found = judge(stateful_set(status, **spec))
    assert (found.done, found.waits_for) == (not waits_for, waits_for)


def test_a_stateful_set_that_is_updated_by_hand_cannot_be_waited_for() -> None:
    assert judge(stateful_set(FULL, updateStrategy={"type": "OnDelete"})).failure == "strategy_not_rolling"


ON_NODES = {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3, "numberReady": 3}


@pytest.mark.parametrize(
    ("status", "waits_for"),
    [
        (ON_NODES, ""),
        ({**ON_NODES, "observedGeneration": 1}, "observed"),
        ({**ON_NODES, "updatedNumberScheduled": 2}, "updated"),
        ({**ON_NODES, "numberAvailable": 2}, "available"),
    ],
)
def test_a_daemon_set_counts_nodes(status: Json, waits_for: str) -> None:
    workload = Workload({**deployment(status, replicas=None).raw, "kind": "DaemonSet"})
    found = judge(workload)
    assert (found.done, found.waits_for, found.wanted) == (not waits_for, waits_for, 3)
    by_hand = {**workload.raw, "spec": {**workload.spec, "updateStrategy": {"type": "OnDelete"}}}
    assert judge(Workload(by_hand)).failure == "strategy_not_rolling"


def test_a_rollout_that_restarts_is_done_when_its_controller_says_so() -> None:
    restart = "2026-11-22T01:00:00Z"
    status = {"phase": "Healthy", "observedGeneration": "1", "stableRS": "a", "currentPodHash": "a"}
    body = {
        "kind": "Rollout",
        "metadata": {"name": "web", "namespace": "shop", "generation": 1},
        "spec": {"restartAt": restart, "template": {}},
        "status": status,
    }
    assert judge(Workload(body)).waits_for == "old_pods"
    restarted = {**body, "status": {**status, "restartedAt": restart}}
    assert judge(Workload(restarted)).done
    assert judge(Workload({**restarted, "spec": {"template": {}}})).done


def test_a_merge_into_a_template_keeps_every_other_container_and_field() -> None:
    template = {"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "args": ["1"]}]}}
    change = {"spec": {"containers": [{"name": "b", "resources": {"limits": {"cpu": "1"}}}]}}
    assert merged(template, change) == {
        "spec": {
            "containers": [
                {"name": "a", "image": "x"},
                {"name": "b", "args": ["1"], "resources": {"limits": {"cpu": "1"}}},
            ]
        }
    }
