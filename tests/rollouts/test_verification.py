"""What runs is read from every container that the release set, those that only prepare the pod among them."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from portal.integrations.kubernetes.workloads import Workload
from releases.rollouts.states import Direction, StepState
from releases.rollouts.steps.kind import Verdict, Work
from releases.rollouts.steps.verify_digests import VerifyDigests
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


class Asked:
    """Orders of a rollout, whoever asks for which: one skip."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_args, **_named: self

    def first(self) -> Any:
        return SimpleNamespace(by=SimpleNamespace(username="ann"))


def work_on(found: dict[str, Any], *skipped: dict[str, Any]) -> Work:
    """A rollout that set one image in both containers of a workload, with this pod of it.

    Args:
        skipped: workloads for which the same was skipped, as the catalog names them.
    """
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
    others = [
        SimpleNamespace(
            kind="set_image",
            direction=Direction.FORWARD,
            state=StepState.SKIPPED,
            service_id=1,
            acted=None,
            reason="not today",
            params={"workload": each} if each else {},
        )
        for each in skipped
    ]
    document = {
        "kind": "Deployment",
        "metadata": {"name": "worker"},
        "spec": {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": {"spec": found["spec"]}},
    }
    work = SimpleNamespace(
        step=SimpleNamespace(direction=Direction.FORWARD),
        rollout=SimpleNamespace(orders=Asked()),
        release=SimpleNamespace(operation={}),
        siblings=[set_image, *others],
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


SECOND = {"kind": "Deployment", "name": "second"}


@pytest.mark.parametrize(
    ("workload", "expected"),
    [
        ({**SECOND, "containers": ["app"]}, {"app": [GOOD]}),
        # The catalog names no container: all of them are the release's.
        (SECOND, {"app": [GOOD], "wait": [GOOD]}),
    ],
)
def test_what_was_skipped_is_compared_and_says_who_skipped_it(
    workload: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = read_back(work_on(pod(main=GOOD, init=GOOD), workload))
    assert found["exact"] is True, "it runs what was approved all the same"
    done, skipped = found["services"]
    assert "skipped" not in done
    assert skipped["expected"] == expected
    assert skipped["skipped"] == {"workload": "second", "by": "ann", "reason": "not today"}


def test_one_of_two_colours_that_was_never_found_out_is_no_exact_one() -> None:
    found = read_back(work_on(pod(main=GOOD, init=GOOD), {}))
    assert found["exact"] is False
    assert found["services"][1]["skipped"]["workload"] == ""


def test_a_workload_that_one_step_wrote_and_another_was_skipped_for_stands_once() -> None:
    found = read_back(work_on(pod(main=GOOD, init=GOOD), {"kind": "Deployment", "name": "worker"}))
    assert [each.get("skipped") for each in found["services"]] == [None]


def test_what_differs_beside_what_was_skipped_is_waited_for() -> None:
    outcome = VerifyDigests().observe(work_on(pod(main=OTHER, init=GOOD), SECOND))
    assert outcome.verdict == Verdict.WAIT
    assert outcome.observed["code"] == "digests_differ"
    outcome = VerifyDigests().observe(work_on(pod(main=GOOD, init=GOOD), {}))
    assert outcome.verdict == Verdict.DONE
    assert outcome.observed["code"] == "exactly_these_but"
