"""The queue is a place anybody with Redis can write to: an entry may only ever call the runner."""

from collections.abc import Callable

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from portal import jobs
from tests.soak import long

FOREIGN = "os.getcwd"


@pytest.fixture
def queue() -> Queue:
    """The queue, in which nothing waits."""
    found = jobs._queue()
    found.empty()
    found.connection.delete(*found.connection.keys(f"{jobs.MARK}*"), "-")
    return found


def entry(name: str = jobs.RUNNER, **callbacks: str) -> jobs.AllowedJob:
    """A queue entry as a worker reads it, whoever wrote it."""
    found = jobs.AllowedJob("forged", connection=Redis(), serializer=JSONSerializer)
    found._func_name = name
    for key, value in callbacks.items():
        setattr(found, f"_{key}_name", value)
    return found


def test_an_entry_calls_the_runner_only() -> None:
    called: Callable[..., None] = entry().func
    assert called is jobs.run
    with pytest.raises(jobs.NotAJob):
        entry(FOREIGN).func  # noqa: B018  reading it is the act


@pytest.mark.parametrize("kind", ["success_callback", "failure_callback", "stopped_callback"])
def test_an_entry_brings_no_callback_of_its_own(kind: str) -> None:
    assert getattr(entry(**{kind: FOREIGN}), kind) is None


@pytest.mark.parametrize("name", ["os.getcwd", "portal.jobs.sweep_once", "releases.jobs.recheck_pending"])
def test_the_runner_knows_marked_jobs_only(name: str) -> None:
    with pytest.raises(jobs.NotAJob):
        jobs.find(name)


@long
@pytest.mark.django_db(transaction=True)
def test_a_worker_lets_no_entry_end_it_and_leaves_none_behind(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[str] = []

    def breaks(word: str) -> None:
        came.append(word)
        raise ValueError(word)

    monkeypatch.setitem(jobs.JOBS, "tests.breaks", breaks)
    worker = jobs.worker_of(queue)
    forged = queue.enqueue_call(FOREIGN)
    broken = queue.enqueue_call(jobs.RUNNER, args=("tests.breaks", "ouch"))
    for each in (forged, broken):
        taken = jobs.AllowedJob.fetch(each.id, connection=queue.connection, serializer=JSONSerializer)
        queue.connection.lrem(queue.key, 1, each.id)
        queue.connection.rpush(queue.intermediate_queue_key, each.id)
        worker.execute_job(taken, queue)
    assert came == ["ouch"]
    assert queue.connection.exists(forged.key, broken.key) == 0
    taken_off = {forged.id.encode(), broken.id.encode()}
    assert taken_off.isdisjoint(queue.connection.lrange(queue.intermediate_queue_key, 0, -1))


@long
@pytest.mark.django_db(transaction=True)
def test_what_is_asked_for_while_a_job_runs_waits_for_the_next_worker(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[int] = []

    def asks_again(number: int) -> None:
        came.append(number)
        if len(came) < 3:
            jobs.enqueue_now("tests.asks_again", number)

    monkeypatch.setitem(jobs.JOBS, "tests.asks_again", asks_again)
    jobs.enqueue_now("tests.asks_again", 7)
    jobs.worker_of(queue).work(burst=True, logging_level="WARNING")
    assert came == [7, 7, 7]
    assert queue.connection.keys("rq:job:*") == []


@pytest.mark.django_db(transaction=True)
def test_a_nudge_waits_once_however_long_and_one_that_is_lost_keeps_nobody_away(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[int] = []
    monkeypatch.setitem(jobs.JOBS, "tests.nudge", came.append)
    jobs.enqueue_each("tests.nudge", [7, 8])
    for mark in queue.connection.keys(f"{jobs.MARK}*"):
        assert queue.connection.ttl(mark) > jobs.WAITING_SECONDS - 10
    jobs.enqueue_each("tests.nudge", [7, 8, 9])
    assert queue.count == 3
    queue.connection.lpop(queue.key)  # by a worker that dies at this moment
    jobs.enqueue_each("tests.nudge", [7, 8, 9])
    jobs.worker_of(queue).work(burst=True, logging_level="WARNING")
    assert came == [8, 9, 7]
