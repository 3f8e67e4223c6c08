"""A fault of our own parks the step it breaks off at, names it, and leaves people every way on."""

import logging
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import translation
from rq.timeouts import JobTimeoutException

from portal import clock, jobs
from portal.audit.models import AuditEntry
from portal.errors import Conflict
from releases.models import Release
from releases.rollouts import engine, operations, orders, release_side, settling
from releases.rollouts.graph import Node
from releases.rollouts.jobs import nudge_due
from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import OrderKind
from releases.rollouts.steps.kinds import KINDS
from releases.rollouts.steps.notice import Notice
from tests.factories import Shop, make_rollout
from tests.people import acting
from tests.rollouts.test_engine_properties import Scripted, World
from tests.soak import long

ADVANCE = "releases.rollouts.jobs.advance"
# Nothing that a plan's schema lets through.
MALFORMED = {"to": 5}
# What a job of these tests may take; `portal.jobs` lets one have 70 seconds.
JOB_SECONDS, ROOM_MEGABYTES, MEGABYTES_A_BITE = 1, 400, 16
# A busy machine gives memory slowly.
PATIENCE_SECONDS = 60


class Died(BaseException):
    """The worker's death: nothing of ours catches it."""


@pytest.fixture
def rollout(notices: Rollout, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    """Three notices; the row of the second is malformed."""
    # The runner would close the connection that has the test's transaction.
    monkeypatch.setattr(jobs, "refresh", lambda **_how: None)
    Step.objects.filter(rollout=notices, key="second").update(params={"section": "before", **MALFORMED})
    return notices


def work(rollout: Rollout) -> None:
    """Let a worker carry out one nudge, after whatever held the last one off."""
    Rollout.objects.filter(pk=rollout.pk, lease_until__isnull=False).update(
        lease_until=clock.now() - timedelta(seconds=1)
    )
    try:
        jobs.run(ADVANCE, rollout.pk)
    finally:
        rollout.refresh_from_db()


def work_badly(rollout: Rollout, times: int, fault: type[BaseException] = TypeError) -> None:
    """Let workers break off that often."""
    for _ in range(times):
        with pytest.raises(fault):
            work(rollout)


def second(rollout: Rollout) -> Step:
    return rollout.steps.get(key="second")


def shown(client: Client, rollout: Rollout, shop: Shop) -> str:
    """The rollout's page, in English."""
    client.force_login(shop.cast.author)
    return client.get(f"/rollouts/{rollout.pk}/", headers={"accept-language": "en"}).content.decode()


def looking(monkeypatch: pytest.MonkeyPatch, look: Callable[[Any], Any]) -> None:
    """Let every look at the second step come to this."""
    seen = Notice.observe

    def observe(self: Notice, step: Any) -> Any:
        return look(step) if step.step.key == "second" else seen(self, step)

    monkeypatch.setattr(Notice, "observe", observe)


@long
def test_a_step_that_always_raises_is_parked_after_three_rounds(
    rollout: Rollout, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        work_badly(rollout, 3)
    step = second(rollout)
    assert (rollout.state, step.state) == ("paused", "errored")
    assert rollout.pause is not None
    assert rollout.pause["args"] == {"step": "second"}
    assert step.failure is not None
    incident = step.failure["args"]["incident"]
    assert step.failure == {"code": "portal_error", "args": {"incident": incident, "count": 3}}
    assert any(incident in record.message and record.exc_info for record in caplog.records)
    assert Release.objects.get(pk=rollout.release_id).state == "paused"
    assert AuditEntry.objects.filter(action="step.errored", subject=str(step.pk)).count() == 1
    assert rollout.steps.get(key="first").state == "succeeded"
    assert rollout.steps.get(key="third").state == "waiting"


def hang(_work: Any) -> None:
    """A look that never ends."""
    while True:
        time.sleep(0.01)


def eat(_work: Any) -> None:
    """A look that takes memory until there is none."""
    taken = []
    while True:
        taken.append(bytearray(MEGABYTES_A_BITE << 20))


@contextmanager
def worker_limits(seconds: int, megabytes: int = ROOM_MEGABYTES) -> Iterator[None]:
    """What bounds a job: the worker's own time limit, and the memory that its process may have."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + (megabytes << 20), hard))
    try:
        with jobs.Worker.death_penalty_class(seconds, JobTimeoutException):  # type: ignore[no-untyped-call]
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@long
@pytest.mark.parametrize(
    ("looks", "seconds", "fault"),
    [(hang, JOB_SECONDS, JobTimeoutException), (eat, PATIENCE_SECONDS, MemoryError)],
    ids=["hangs", "eats memory"],
)
def test_a_job_that_hangs_or_eats_memory_is_ended_and_parked_and_its_worker_goes_on(
    rollout: Rollout,
    monkeypatch: pytest.MonkeyPatch,
    looks: Callable[[Any], None],
    seconds: int,
    fault: type[BaseException],
) -> None:
    Step.objects.filter(rollout=rollout, key="second").update(params={"section": "before"})
    with monkeypatch.context() as patch:
        looking(patch, looks)
        for _ in range(3):
            with worker_limits(seconds):
                work_badly(rollout, 1, fault)
    assert (rollout.state, second(rollout).state) == ("paused", "errored")
    assert second(rollout).failure is not None


@long
def test_a_parked_rollout_is_nudged_no_more(rollout: Rollout, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(jobs, "_send", lambda name, _args: sent.append(name))
    work_badly(rollout, 3)
    work(rollout)
    assert (rollout.lease_until, rollout.wake_at, rollout.stumble) == (None, None, None)
    nudge_due()
    assert sent == []


@long
def test_between_the_rounds_the_lease_is_held_off_and_the_page_says_why(
    rollout: Rollout, shop: Shop, client: Client
) -> None:
    work_badly(rollout, 2)
    assert rollout.lease_until is not None
    assert rollout.lease_until > clock.now()
    engine.advance(rollout.pk)
    assert second(rollout).observed["args"]["count"] == 2
    assert "2 of 3" in shown(client, rollout, shop)


@long
def test_the_page_says_it_plainly_and_offers_every_way_on(
    rollout: Rollout, shop: Shop, client: Client
) -> None:
    work_badly(rollout, 3)
    step = second(rollout)
    assert step.failure is not None
    page = shown(client, rollout, shop)
    assert step.failure["args"]["incident"] in page
    assert "TypeError" not in page
    assert "Traceback" not in page
    for choice in (f"retry-{step.pk}", f"skip-{step.pk}", f"back-{step.pk}"):
        assert f'id="{choice}"' in page


@long
@pytest.mark.parametrize("kind", ["retry", "skip"])
def test_a_parked_step_goes_on_when_it_is_mended_or_skipped(rollout: Rollout, shop: Shop, kind: str) -> None:
    work_badly(rollout, 3)
    step = second(rollout)
    if kind == "retry":
        Step.objects.filter(pk=step.pk).update(params={"section": "before"})
    actor = acting(shop.cast.author)
    operations.give_order(rollout.pk, kind, actor=actor, step_id=step.pk, reason="known")
    work(rollout)
    assert rollout.state == "succeeded"
    assert second(rollout).state == {"retry": "succeeded", "skip": "skipped"}[kind]


@long
def test_a_parked_rollout_goes_back(rollout: Rollout, shop: Shop) -> None:
    work_badly(rollout, 3)
    operations.give_order(rollout.pk, "rollback", actor=acting(shop.cast.author))
    work(rollout)
    assert rollout.state == "rolled_back"


def test_a_step_at_which_workers_die_is_parked_as_well(
    rollout: Rollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_work: Any) -> None:
        raise Died

    looking(monkeypatch, die)
    work_badly(rollout, 3, Died)
    assert rollout.state == "running"
    work(rollout)
    step = second(rollout)
    assert (rollout.state, step.state) == ("paused", "errored")
    assert step.failure is not None
    assert (step.failure["code"], step.failure["args"]["count"]) == ("worker_died", 3)


@long
def test_deaths_with_progress_between_them_park_nothing(
    rollout: Rollout, monkeypatch: pytest.MonkeyPatch, shop: Shop
) -> None:
    def die(_work: Any) -> None:
        raise Died

    looking(monkeypatch, die)
    actor = acting(shop.cast.author)
    for kind in ("pause", "resume", "pause", "resume"):
        work_badly(rollout, 1, Died)
        operations.give_order(rollout.pk, kind, actor=actor)
    work_badly(rollout, 1, Died)
    assert rollout.stumble is not None
    assert rollout.stumble["count"] < 3
    assert second(rollout).state == "running"


@long
def test_a_database_that_fails_is_no_fault_of_the_step(
    rollout: Rollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_work: Any) -> None:
        raise OperationalError("the connection is lost")

    looking(monkeypatch, fail)
    work_badly(rollout, 5, OperationalError)
    assert (rollout.state, rollout.stumble) == ("running", None)


@long
def test_an_order_that_cannot_be_honoured_is_refused(
    rollout: Rollout, monkeypatch: pytest.MonkeyPatch, shop: Shop
) -> None:
    Step.objects.filter(rollout=rollout).update(params={"section": "before"})

    def fail(*_args: Any) -> str:
        raise KeyError("made up")

    monkeypatch.setitem(orders.HONOURS, OrderKind.PAUSE, fail)
    order = operations.give_order(rollout.pk, "pause", actor=acting(shop.cast.author))
    work_badly(rollout, 3, KeyError)
    order.refresh_from_db()
    assert order.outcome == "refused: portal_error"
    assert AuditEntry.objects.filter(action="order.refused", subject=str(order.pk)).exists()
    work(rollout)
    assert rollout.state == "succeeded"


@long
def test_a_fault_at_no_step_pauses_the_rollout(rollout: Rollout, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: Any, **_named: Any) -> bool:
        raise KeyError("made up")

    monkeypatch.setattr("releases.rollouts.settling.make_ready", fail)
    work_badly(rollout, 3, KeyError)
    assert rollout.state == "paused"
    assert rollout.pause is not None
    assert rollout.pause["reason"] == "portal_error"


@long
def test_a_job_at_which_the_portal_broke_off_is_run_once_more_by_nobody_who_only_resumes(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    monkeypatch.setattr(jobs, "refresh", lambda **_how: None)
    world = World(verdicts={})
    job = Scripted(world, acts=True)
    job.once = True  # type: ignore[misc]
    seen = job.observe
    monkeypatch.setattr(job, "observe", lambda _work: 1 / 0)
    for module in (engine, orders, settling):
        monkeypatch.setattr(module, "KINDS", {**KINDS, "run_job": job})
    monkeypatch.setattr(release_side, "missing_for", lambda _release, **_how: [])
    params = {"workload": {"kind": "Deployment", "name": "w0"}, "job": {"cronJob": "migrate"}}
    made = make_rollout(shop, [Node(key="job", kind="run_job", position=0, wave=1, params=params)])
    work_badly(made, 3, ZeroDivisionError)
    step, actor = made.steps.get(), acting(shop.cast.author)
    assert (made.state, step.state, len(world.marks)) == ("paused", "errored", 1)
    with pytest.raises(Conflict, match="does not run a Job once more"), translation.override("en"):
        operations.give_order(made.pk, "resume", actor=actor)
    assert "Resuming does not run a Job once more." in shown(client, made, shop)
    monkeypatch.setattr(job, "observe", seen)
    operations.give_order(made.pk, "retry", actor=actor, step_id=step.pk)
    work(made)
    # Found by its mark: it is the one that was made.
    assert (made.state, len(world.marks)) == ("succeeded", 1)
