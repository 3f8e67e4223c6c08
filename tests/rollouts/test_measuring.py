"""After the waves the same kinds of step measure on, by sweep and worker, until the sign-off is given."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from portal import clock
from portal.errors import PermanentError, TemporaryError
from portal.jobs import Failure
from releases import gates
from releases.models import Gate, Release
from releases.rollouts import engine, jobs, operations
from releases.rollouts.graph import Node
from releases.rollouts.models import Rollout
from releases.rollouts.steps import metric
from releases.rollouts.steps.kind import Outcome, StepKind, Verdict, Work, done, failed, wait
from releases.rollouts.steps.kinds import KINDS
from tests.factories import Shop, make_release
from tests.people import acting
from tests.rollouts.floor import drive
from tests.soak import long

NODES = [
    Node(key="before.http", kind="http", position=0, params={"section": "before"}),
    Node(
        key="after.health",
        kind="health",
        position=1,
        service="shopping-service",
        params={"section": "after"},
        depends_on=("before.http",),
    ),
    Node(
        key="after.notice",
        kind="notice",
        position=2,
        params={"section": "after"},
        depends_on=("after.health",),
    ),
]


class Scripted(StepKind):
    """A kind whose next look is set by the test."""

    measures = True

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]  # each of them is one kind
        self.next: Any = done("healthy", args={"status": "UP"})
        self.seen: list[Work] = []

    def observe(self, work: Work) -> Outcome:
        self.seen.append(work)
        if isinstance(self.next, Exception):
            raise self.next
        assert isinstance(self.next, Outcome)
        return self.next


@pytest.fixture
def health(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """The kind `health`, which says what the test wants; `http` is always well."""
    kind = Scripted("health")
    monkeypatch.setitem(KINDS, "health", kind)
    monkeypatch.setitem(KINDS, "http", Scripted("http"))
    return kind


@pytest.fixture
def release(shop: Shop, health: Scripted, monkeypatch: pytest.MonkeyPatch) -> Release:
    """A release that its engine has brought to the sign-off."""
    monkeypatch.setattr(operations, "graph_of", lambda _release: NODES)
    release = make_release(shop, at="approved")
    rollout = operations.start_rollout(release.number, actor=acting(shop.cast.author))
    engine.advance(rollout.pk)
    release.refresh_from_db()
    assert release.state == "awaiting_signoff", Rollout.objects.get().state
    return release


def again(release: Release) -> Gate:
    """Let everything that is due be measured, as sweep and worker do."""
    release.gates.update(due_at="2026-01-01T00:00:00Z")
    jobs.measure_due()
    return release.gates.get()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue hands a job over at once."""
    monkeypatch.setattr(jobs, "enqueue_each", lambda _name, keys: [jobs.measure(pk) for pk in keys])


@long
def test_the_checks_after_the_waves_are_the_gates_and_begin_with_what_they_saw(release: Release) -> None:
    gate = release.gates.get()
    assert (gate.key, gate.result, len(gate.history)) == ("after.health", "passed", 1)
    (view,) = gates.gates_of(release)
    assert "shopping-service" in view.name
    assert view.text == "UP"


def watched(key: str, position: int, gate: dict[str, Any], *, after: str = "", section: str = "wave") -> Node:
    """A canary that is watched for a second."""
    pair = {"stable": "web", "canary": "web-canary"}
    return Node(
        key=key,
        kind="watch",
        position=position,
        service="shopping-service",
        wave=1,
        params={"section": section, "seconds": 1, "everySeconds": 1, "gates": [gate], "pair": pair},
        depends_on=(after,) if after else (),
    )


@long
def test_what_was_watched_last_is_measured_on_until_the_sign_off(
    shop: Shop, health: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [
        watched("1.first", 0, {"kind": "http", "url": "http://shop.example/"}),
        watched("1.last", 1, {"kind": "health", "title": "Errors"}, after="1.first"),
        watched("2.later", 2, {"kind": "health"}, after="1.last", section="switch"),
    ]
    monkeypatch.setattr(operations, "graph_of", lambda _release: nodes)
    release = make_release(shop, at="approved")
    started = operations.start_rollout(release.number, actor=acting(shop.cast.author))
    drive(started, "awaiting_signoff")
    gate = release.gates.get()
    assert (gate.key, gate.kind, gate.result) == ("1.last.0", "health", "passed")
    (view,) = gates.gates_of(release)
    assert "Errors" in view.name
    health.next = wait("unhealthy", args={"status": "HTTP 503"})
    assert again(release).is_breached
    assert health.seen[-1].step.params["pair"] == {"stable": "web", "canary": "web-canary"}
    health.next = done("healthy", args={"status": "UP"})
    assert not again(release).is_breached


@long
@pytest.mark.parametrize(
    ("look", "result", "breached"),
    [
        (done("healthy", args={"status": "UP"}), "passed", False),
        (done("no_health_known"), "inconclusive", False),
        (wait("unhealthy", args={"status": "HTTP 503"}), "breached", True),
        (wait("no_answer", args={"message": "gone"}, unmeasured=True), "errored", False),
        (failed("rights_missing", "patch"), "breached", True),
        (Outcome(verdict=Verdict.INCONCLUSIVE), "inconclusive", False),
        (TemporaryError("silence", code="unreachable"), "errored", False),
        (PermanentError("no Service", code="missing"), "breached", True),
        (PermanentError("no right", code="forbidden"), "errored", False),
    ],
)
def test_only_what_was_measured_bad_is_a_breach(
    release: Release, health: Scripted, look: Any, result: str, breached: bool
) -> None:
    health.next = look
    gate = again(release)
    assert (gate.result, gate.is_breached) == (result, breached)
    work = health.seen[-1]
    assert work.rollout == release.rollouts.get()
    assert {step.key for step in work.siblings} == {node.key for node in NODES}


@long
def test_nothing_is_measured_any_more_once_it_is_announced(release: Release, health: Scripted) -> None:
    looks = len(health.seen)
    Release.objects.filter(pk=release.pk).update(state="announced")
    again(release)
    assert len(health.seen) == looks


@long
def test_a_fault_of_the_portal_itself_is_shown_as_not_measured(release: Release) -> None:
    gate = release.gates.get()
    jobs.not_measured(gate.pk, failure=Failure("abcd1234", ValueError("x")))
    gate.refresh_from_db()
    assert (gate.result, gate.is_breached) == ("errored", False)
    assert "abcd1234" in gates.gates_of(release)[0].text


@pytest.mark.parametrize(
    ("result", "verdict"), [("good", "done"), ("bad", "failed"), ("unclear", "inconclusive")]
)
def test_a_metric_is_judged_by_one_measurement(
    monkeypatch: pytest.MonkeyPatch, result: str, verdict: str
) -> None:
    found = metric.Measured(value=0.02, result=metric.Result(result), reason="beyond")
    monkeypatch.setattr(metric, "_measure", lambda _work: found)
    work: Any = SimpleNamespace(step=SimpleNamespace(params={"unit": "ratio"}))
    assert metric.Metric().measures
    outcome = metric.Metric().measure(work)
    said = (outcome.failure or outcome.observed)["args"]
    assert (outcome.verdict, said["value"], said["unit"]) == (verdict, 0.02, "ratio")


def test_a_gate_of_a_newer_version_is_left_to_its_workers(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as old:
        old.delitem(KINDS, "health")
        gate = again(release)
    assert (gate.result, len(gate.history)) == ("passed", 1)
    assert gate.due_at < clock.now() + timedelta(seconds=5)
    assert len(again(release).history) == 2
