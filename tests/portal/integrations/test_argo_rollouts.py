"""Where a Rollout's canary stands, read past the traps of its status, and the patches that move it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.integrations.argo.rollouts import canary_of, image_operations, stops_of, weight_at
from portal.integrations.kubernetes.rollout_status import judge
from portal.integrations.kubernetes.workloads import Workload, with_holder
from tests.soak import long

Json = dict[str, Any]
STEPS: list[Json] = [{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {"duration": "5m"}}]
STABLE, NEW = {"stableRS": "a", "currentPodHash": "a"}, {"stableRS": "a", "currentPodHash": "b"}
STANDS = {"phase": "Paused", "controllerPause": True, "pauseConditions": [{"reason": "CanaryPauseStep"}]}


def rollout(status: Json, *, generation: int = 7, **spec: Any) -> Workload:
    template = {"spec": {"containers": [{"name": "web", "image": "shop/web:2", "resources": {}}]}}
    canary = {"strategy": {"canary": {"steps": STEPS}}, "template": template, "replicas": 5}
    metadata = {"name": "web", "namespace": "shop", "generation": generation, "resourceVersion": "1"}
    seen = {"observedGeneration": "7", **status}
    return Workload({"kind": "Rollout", "metadata": metadata, "spec": {**canary, **spec}, "status": seen})


@pytest.mark.parametrize(
    ("status", "spec", "done", "waits_for", "failure"),
    [
        ({**STABLE, "phase": "Healthy"}, {}, True, "", ""),
        # The number that was seen is a string, and an older one says nothing of this spec.
        ({**STABLE, "phase": "Healthy", "observedGeneration": "6"}, {}, False, "observed", ""),
        ({**STABLE, "phase": "Degraded", "observedGeneration": "6"}, {}, False, "observed", ""),
        ({}, {}, False, "updated", ""),
        ({**NEW, "phase": "Progressing"}, {}, False, "updated", ""),
        ({**NEW, "phase": "Healthy"}, {}, False, "updated", ""),
        ({**NEW, **STANDS, "currentStepIndex": 1}, {}, False, "promotion", ""),
        ({**NEW, **STANDS, "currentStepIndex": 3}, {}, False, "pause", ""),
        # Somebody has lifted the pause; the phase is still the old one.
        ({**NEW, **STANDS, "pauseConditions": None, "currentStepIndex": 1}, {}, False, "updated", ""),
        ({**NEW, "phase": "Paused", "message": "manually paused"}, {"paused": True}, False, "unpaused", ""),
        ({**NEW, "phase": "Degraded", "message": "RolloutAborted: by hand"}, {}, False, "", "canary_aborted"),
        (
            {**NEW, "phase": "Degraded", "message": "ProgressDeadlineExceeded: no progress"},
            {},
            False,
            "",
            "deadline_exceeded",
        ),
        ({"phase": "Degraded", "message": "InvalidSpec: no"}, {}, False, "", "canary_invalid"),
        ({**NEW, "phase": "Degraded", "message": "other"}, {}, False, "", "canary_degraded"),
    ],
)
def test_a_phase_is_believed_only_where_it_is_of_this_spec(
    status: Json, spec: Json, *, done: bool, waits_for: str, failure: str
) -> None:
    found = judge(rollout(status, **spec))
    assert (found.done, found.waits_for, found.failure) == (done, waits_for, failure)


def test_a_template_in_a_deployment_is_read_and_written_there() -> None:
    held = {
        "metadata": {"name": "held", "generation": 3, "resourceVersion": "9", "annotations": {"a": "b"}},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {"containers": [{"name": "web", "image": "shop/web:3"}]}},
        },
    }
    own = rollout({**STABLE, "phase": "Healthy"}, workloadRef={"kind": "Deployment", "name": "held"})
    found = Workload(with_holder(own.raw, [held]))
    assert found.images == {"web": "shop/web:3"}
    assert found.selector == {"app": "web"}
    assert (str(found.reference), str(found.written)) == ("rollout/web", "deployment/held")
    assert (found.resource_version, found.annotations) == ("9", {"a": "b"})
    assert judge(found).waits_for == "observed"
    found.status["workloadObservedGeneration"] = "3"
    assert judge(found).done


def test_the_empty_resources_that_the_controller_adds_are_no_difference() -> None:
    assert rollout({}).template["spec"]["containers"] == [{"name": "web", "image": "shop/web:2"}]


def test_only_pauses_without_a_duration_wait_for_somebody() -> None:
    assert stops_of(rollout({})) == [1]
    assert canary_of(rollout({**NEW, "currentStepIndex": 3})).weight == 50


@given(weights=st.lists(st.integers(0, 100), min_size=1, max_size=6))
def test_the_weight_is_that_of_the_last_step_that_sets_one(weights: list[int]) -> None:
    steps: list[Json] = []
    for weight in weights:
        steps += [{"setWeight": weight}, {"pause": {}}]
    assert [weight_at(steps, 2 * at + 1) for at in range(len(weights))] == weights
    assert weight_at(steps, len(steps)) == 100


@long
@given(
    names=st.lists(st.sampled_from("abcdef"), unique=True, min_size=1),
    first=st.integers(0, 3),
    data=st.data(),
)
def test_each_image_is_set_only_where_the_container_is_the_one_meant(
    names: list[str], first: int, data: st.DataObject
) -> None:
    containers = [{"name": name, "image": "old"} for name in names]
    spec = {"initContainers": containers[:first], "containers": containers[first:]}
    wanted = {name: f"new/{name}" for name in data.draw(st.sets(st.sampled_from(names)))}
    operations = list(image_operations({"spec": spec}, wanted))
    tested = {each["path"].removesuffix("/name"): each["value"] for each in operations[::2]}
    assert {each["op"] for each in operations[::2]} <= {"test"}
    assert {tested[each["path"].removesuffix("/image")]: each["value"] for each in operations[1::2]} == wanted
    for place, name in tested.items():
        _spec, _template, _pod, field, index = place.strip("/").split("/")
        assert spec[field][int(index)]["name"] == name
