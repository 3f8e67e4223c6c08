"""What runs is read from every container that the release set, those that only prepare the pod among them."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from portal.integrations.kubernetes.workloads import Workload
from releases.rollouts.states import Direction, StepState
from releases.rollouts.steps.kind import Work
from releases.rollouts.verification import read_back

GOOD, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
LABELS = {"app": "worker"}


def pod(*, main: str, init: str) -> dict[str, Any]:
    """A pod whose init container ended long ago; a node reports both."""
    image = "registry.practice/shop/worker"
    return {
        "metadata": {"name": "worker-1", "labels": LABELS},
        "spec": {
            "initContainers": [{"name": "wait", "image": f"{image}@{GOOD}"}],
            "containers": [{"name": "app", "image": f"{image}@{GOOD}"}],
        },
        "status": {
            "initContainerStatuses": [{"name": "wait", "imageID": init and f"{image}@{init}"}],
            "containerStatuses": [{"name": "app", "imageID": f"{image}@{main}"}],
        },
    }


def work_on(found: dict[str, Any]) -> Work:
    """A rollout that set one image in both containers of a workload, with this pod of it."""
    images = {"app": f"x@{GOOD}", "wait": f"x@{GOOD}"}
    service = SimpleNamespace(name="worker")
    set_image = SimpleNamespace(
        kind="set_image",
        direction=Direction.FORWARD,
        state=StepState.SUCCEEDED,
        service_id=1,
        acted={"images": images},
        params={"workload": {"kind": "Deployment", "name": "worker"}},
    )
    document = {
        "kind": "Deployment",
        "metadata": {"name": "worker"},
        "spec": {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": {"spec": found["spec"]}},
    }
    work = SimpleNamespace(
        step=SimpleNamespace(direction=Direction.FORWARD),
        release=SimpleNamespace(operation={}),
        siblings=[set_image],
        items=[SimpleNamespace(service_id=1, service=service, image="", digest=GOOD, accepted=[GOOD])],
        environment=SimpleNamespace(namespace="shop"),
        listed_workload=lambda _reference: Workload(document),
        collection=lambda _plural: [found],
    )
    return cast(Work, work)


@pytest.mark.parametrize(
    ("main", "init", "exact"),
    [(GOOD, GOOD, True), (GOOD, "", True), (GOOD, OTHER, False), (OTHER, GOOD, False)],
)
def test_init_containers_are_read_back_too(main: str, init: str, exact: bool) -> None:
    found = read_back(work_on(pod(main=main, init=init)))
    assert found["exact"] is exact
    assert set(found["services"][0]["found"]) == {"app", "wait"}
