"""How the pods of a service are asked for their health: where, how many, and what their answers come to."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from portal.integrations.kubernetes.client import Answered, Listing
from portal.integrations.kubernetes.workloads import Workload
from releases.catalog.models import Environment, Service
from releases.models import Release
from releases.rollouts.models import Step
from releases.rollouts.steps import pod_health
from releases.rollouts.steps.kind import Json, Outcome, Verdict, Work
from releases.rollouts.steps.kinds import KINDS
from releases.rollouts.steps.measurement import judged

HEALTH = {"kind": "actuator", "service": "api", "port": 80, "path": "/actuator/health"}
UP, DOWN = Answered(200, {"status": "UP"}), Answered(503, {"status": "DOWN"})
Answer = Callable[[str], Answered | None]


class Pods:
    """A cluster with a StatefulSet of so many pods, each of which answers as it is told."""

    def __init__(self, count: int, answer: Answer, **pod: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, int]] = []
        self.items = [_pod(f"api-{number:03}", **pod) for number in range(count)]

    def workload(self, _reference: object) -> Workload:
        body = {"kind": "StatefulSet", "metadata": {"name": "api", "namespace": "shop", "uid": "u"}}
        spec = {"selector": {"matchLabels": {"app": "api"}}}
        return Workload({**body, "spec": spec, "status": {"updateRevision": "new"}})

    def find(self, _plural: str, _namespace: str, **_query: object) -> Listing:
        return Listing(self.items, "1")

    def get(self, _path: str) -> Json:
        ports = [{"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 8081}, {"port": 82}]
        return {"spec": {"selector": {"app": "api"}, "ports": ports}}

    def ask_pod(self, _namespace: str, pod: str, *, port: int, **_more: object) -> Answered | None:
        self.asked.append((pod, port))
        return self.answer(pod)


def _pod(name: str, *, phase: str = "Running", revision: str = "new", ends: bool = False) -> Json:
    owner = {"uid": "u", "controller": True}
    labels = {"app": "api", "controller-revision-hash": revision}
    metadata: Json = {"name": name, "labels": labels, "ownerReferences": [owner]}
    if ends:
        metadata["deletionTimestamp"] = "2026-01-05T00:00:00Z"
    ports = [{"name": "http", "containerPort": 8080}]
    return {"metadata": metadata, "spec": {"containers": [{"ports": ports}]}, "status": {"phase": phase}}


def look(pods: Pods, *, beat: Callable[[], None] = lambda: None, **health: Any) -> Outcome:
    """Look once at the health of the service."""
    spec = {"workloads": [{"kind": "StatefulSet", "name": "api"}], "health": {**HEALTH, **health}}
    environment = Environment(namespace="shop")
    step = Step(kind="health", service=Service(name="api", spec=spec), params={})
    work = Work(step=step, release=Release(), environment=environment, items=(), beat=beat)
    with mock.patch.object(Work, "cluster", pods):
        return KINDS["health"].observe(work)


def test_every_pod_is_asked_where_it_listens_and_all_must_be_well() -> None:
    pods = Pods(20, lambda _pod: UP)
    assert look(pods).observed == {"code": "pods_healthy", "args": {"count": 20, "status": "UP"}}
    assert sorted(pods.asked) == [(f"api-{number:03}", 8080) for number in range(20)]


@pytest.mark.parametrize(("port", "asked"), [(80, 8080), (81, 8081), (82, 82), (9000, 9000)])
def test_a_pod_is_asked_at_what_the_port_of_its_service_leads_to(port: int, asked: int) -> None:
    pods = Pods(1, lambda _pod: UP)
    look(pods, port=port)
    assert pods.asked == [("api-000", asked)]


@pytest.mark.parametrize("pod", [{"revision": "old"}, {"phase": "Failed"}, {"ends": True}])
def test_pods_that_end_or_are_not_of_the_new_version_are_none(pod: dict[str, Any]) -> None:
    pods = Pods(2, lambda _pod: UP, **pod)
    outcome = look(pods)
    assert (outcome.observed["code"], pods.asked) == ("health_no_pods", [])
    assert judged(outcome).result == "breached"


def test_who_is_not_well_is_told_before_who_is_silent() -> None:
    answers = {"api-001": DOWN, "api-002": None}
    outcome = look(Pods(4, lambda pod: answers.get(pod, UP)))
    assert (outcome.verdict, outcome.observed["args"]["status"]) == (Verdict.WAIT, "api-001: DOWN")
    assert judged(outcome).result == "breached"


def test_a_pod_that_is_silent_is_not_measured() -> None:
    outcome = look(Pods(4, lambda pod: None if pod == "api-003" else UP))
    assert outcome.observed["args"]["names"] == "api-003"
    assert judged(outcome).result == "errored"


@pytest.mark.parametrize("bad", [None, DOWN])
def test_after_one_that_is_not_well_no_more_are_asked_than_at_once(bad: Answered | None) -> None:
    pods = Pods(100, lambda pod: bad if pod == "api-000" else UP)
    look(pods)
    assert len(pods.asked) == pod_health.AT_ONCE


def test_pods_that_are_not_asked_in_time_have_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_health, "LOOK_SECONDS", 0.0)
    beats: list[None] = []
    pods = Pods(9, lambda _pod: UP)
    outcome = look(pods, beat=lambda: beats.append(None))
    assert (outcome.observed["code"], pods.asked, beats) == ("pods_silent", [], [])
