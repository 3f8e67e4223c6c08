"""Nudges: `enqueue` after commit, the runner that carries them out, and the sweep for what was lost.

A job names a function marked with @job and carries ids and short strings. The database is the truth:
a job may be lost, doubled or late, and what it would have done is found again by a sweep.
"""

import contextlib
import importlib
import json
import logging
import signal
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar
from uuid import uuid4

import django_rq
from django.conf import settings
from django.db import transaction
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import NoSuchJobError, StopRequested
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from rq.timeouts import JobTimeoutException, TimerDeathPenalty
from rq.worker import WorkerStatus

from portal import impatient, trace
from portal.connections import refresh
from portal.errors import DATABASE_AWAY

logger = logging.getLogger(__name__)

# While nobody works them off the sweeps would add nudges until Redis is full, and then nobody could.
MOST_WAITING = 10_000
# What nobody took for so long is forgotten: the sweep has found its row again and again.
WAITING_SECONDS = 600
# While a nudge waits its mark keeps a second one like it away: whoever takes it finds what both were about.
# It names the entry: one that is in no queue any more was taken just now, or is lost, and keeps nobody away.
MARK = "portal.waits:"
# How long a worker waits for work in one call: a Redis that hangs or fell silent is noticed a little later.
# RQ takes off and adds seconds of its own.
WORKER_SECONDS = 20
REST_SECONDS = 1.0
# Below the time after which RQ takes a worker for dead, with what one job may take.
BEAT_SECONDS = 5.0
# Longer than anything that one job waits for: two calls of Helm.
JOB_SECONDS = 70

Argument = int | str
Row = TypeVar("Row")
Function = Callable[..., None]
JOBS: dict[str, Function] = {}
RUNNER = "portal.jobs.run"


@dataclass(frozen=True)
class Failure:
    """A job that broke off by a fault of our own.

    Attributes:
        incident: by which the log's trace is found; what people may be shown of it.
    """

    incident: str
    error: Exception


# By a job's name: what tells the row that the job is about that it broke off.
TOLD_OF_FAILURE: dict[str, Function] = {}


def job(function: Function) -> Function:
    """Mark a function as one that a queue entry may name."""
    JOBS[_name_of(function)] = function
    return function


def on_failure(tell: Function) -> Callable[[Function], Function]:
    """Let `tell` write down that the decorated job raised; called with the job's arguments and `failure`."""

    def register(function: Function) -> Function:
        TOLD_OF_FAILURE[_name_of(function)] = tell
        return function

    return register


def _name_of(function: Function) -> str:
    return f"{function.__module__}.{function.__qualname__}"


@dataclass(frozen=True)
class Sweep:
    """A function that finds rows waiting too long, and how often it is called (seconds)."""

    run: Callable[[], None]
    every_seconds: float


SWEEPS: list[Sweep] = []


def sweep(*, every_seconds: float) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a function that the sweeper calls again and again."""

    def register(function: Callable[[], None]) -> Callable[[], None]:
        SWEEPS.append(Sweep(function, every_seconds))
        return function

    return register


def enqueue(name: str, *args: Argument) -> None:
    """Ask a worker to run the job NAME once this transaction has committed; one like it may wait already.

    A queue that cannot be reached is logged and forgotten: the sweep finds the row.
    """
    transaction.on_commit(lambda: _send(name, args))


def enqueue_each(name: str, keys: Iterable[Argument]) -> None:
    """As `enqueue` with each of the keys, for who has many: all go to the queue together."""
    each = [(key,) for key in keys]
    if each:
        transaction.on_commit(lambda: _send_all(name, each))


def enqueue_now(name: str, *args: Argument) -> bool:
    """As `enqueue`, for whoever is in no transaction, and may be without a database.

    Returns:
        Whether the queue could be reached.
    """
    return _send(name, args)


def are_waiting() -> bool:
    """Whether jobs wait that no worker has taken yet; not where the queue cannot be reached."""
    try:
        return bool(_queue(_client()).count)
    except impatient.AWAY:
        return False


_redis_rests = impatient.Rest()


def _send(name: str, args: tuple[Argument, ...]) -> bool:
    return _send_all(name, [args])


def _send_all(name: str, each: Sequence[tuple[Argument, ...]]) -> bool:
    if _redis_rests:
        return False
    try:
        client = _client()
        queue = _queue(client)
        entries = {
            _mark(name, args): queue.prepare_data(
                RUNNER, args=(name, *args), ttl=WAITING_SECONDS, job_id=uuid4().hex
            )
            for args in each
        }
        wanted, room = _not_waiting(client, queue, entries)
        if wanted[:room]:
            with client.pipeline(transaction=False) as sent:
                for mark in wanted[:room]:
                    sent.set(mark, str(entries[mark].job_id), ex=WAITING_SECONDS)
                queue.enqueue_many([entries[mark] for mark in wanted[:room]], pipeline=sent)
                sent.execute()
    except impatient.AWAY as error:
        _redis_rests.begin()
        logger.warning("queue out of reach, %s waits for the sweep: %s", name, error)
        return False
    return True


def _not_waiting(client: Redis, queue: Queue, marks: Iterable[str]) -> tuple[list[str], int]:
    """Return which of the marks no entry in the queue has, and how many more there is room for."""
    with client.pipeline(transaction=False) as asked:
        asked.llen(queue.key)
        for mark in marks:
            asked.get(mark)
        waiting, *named = asked.execute()
        held = [(mark, entry) for mark, entry in zip(marks, named, strict=True) if entry]
        for _own, entry in held:
            asked.lpos(queue.key, entry)
        places = asked.execute()
    away = {mark for (mark, _entry), place in zip(held, places, strict=True) if place is not None}
    return [mark for mark in marks if mark not in away], max(0, MOST_WAITING - waiting)


def _client() -> Redis:
    return impatient.client(settings.RQ_QUEUES["default"]["URL"])


def _mark(name: Argument, args: Sequence[Argument]) -> str:
    return MARK + json.dumps([name, *args])


def _take_off(queue: Queue, job: Job, called: Sequence[Argument]) -> None:
    """Take an entry off, and let the next nudge wait: what that is about may be newer than what is read."""
    if _redis_rests:
        return
    try:
        with _client().pipeline(transaction=False) as taken:
            taken.lrem(queue.intermediate_queue_key, 1, job.id)
            taken.delete(job.key, *([_mark(called[0], called[1:])] if called else []))
            taken.execute()
    except impatient.AWAY as error:
        _redis_rests.begin()
        logger.warning("queue out of reach: %s", error)


def _queue(connection: Redis | None = None) -> Queue:
    return django_rq.get_queue(
        "default", connection=connection, serializer=JSONSerializer, job_class=AllowedJob
    )


class NotAJob(Exception):
    """A queue entry named something that is not a job."""


class AllowedJob(Job):
    """A queue entry that can only ever call the runner, whatever was written into Redis.

    It says what is called and no more: the twenty other facts of RQ's own would be written and read with
    every entry, and nothing here asks for them.
    """

    def to_dict(self, include_meta: bool = True, include_result: bool = True) -> dict[str, Any]:  # noqa: ARG002
        """Return what is written."""
        return {"data": zlib.compress(self.data)}

    def restore(self, raw_data: dict[bytes, bytes]) -> None:
        """Read what is called.

        Raises:
            NoSuchJobError: nothing is.
        """
        try:
            self.data = zlib.decompress(raw_data[b"data"])
        except (KeyError, zlib.error) as error:
            raise NoSuchJobError(f"no entry of ours: {self.key}") from error

    def set_status(self, status: JobStatus, pipeline: Pipeline | None = None) -> None:  # noqa: ARG002
        """Keep it for this process; nobody asks Redis for it."""
        self._status = status

    def cleanup(
        self,
        ttl: int | None = None,
        pipeline: Pipeline | None = None,
        remove_from_queue: bool = True,  # noqa: ARG002
    ) -> None:
        """Let it be forgotten after so many seconds; it never has others that wait for it."""
        if ttl and pipeline is not None:
            pipeline.expire(self.key, ttl)

    @property
    def func(self) -> Callable[..., None]:
        """The runner; anything else is refused."""
        if self.func_name != RUNNER:
            raise NotAJob(self.func_name)
        return run

    @property
    def success_callback(self) -> None:
        """None: an entry could name any function, and RQ would import and call it."""

    @property
    def failure_callback(self) -> None:
        """None, as above; RQ calls it even where the job itself was refused."""

    @property
    def stopped_callback(self) -> None:
        """None, as above."""


def find(name: str) -> Function:
    """Return the job called NAME.

    Raises:
        NotAJob: no function of that name is marked as a job.
    """
    module, _, _ = name.rpartition(".")
    if module.endswith(".jobs") and module.split(".")[0] in {"portal", "approvals", "releases"}:
        importlib.import_module(module)
    if name not in JOBS:
        raise NotAJob(name)
    return JOBS[name]


def run(name: str, *args: Argument) -> None:
    """Carry out one job; what it raises is logged here, and the row that the job is about is told."""
    believed = refresh()
    with trace.following(job=name):
        try:
            _call(name, args, believed=believed)
        except Exception as error:
            failure = Failure(trace.number(), error)
            logger.exception("job %s%r failed, incident %s", name, args, failure.incident)
            refresh(believing=False)
            _tell_row(name, args, failure)
            raise
        finally:
            refresh()


def _call(name: str, args: tuple[Argument, ...], *, believed: bool) -> None:
    """Call it; once more where the database failed it on a connection that was only believed.

    That may have ended since it was looked at, and a job may run twice.
    """
    function = find(name)
    try:
        function(*args)
    except DATABASE_AWAY as error:
        if not believed:
            raise
        logger.info("job %s%r begins anew: %s", name, args, error)
        refresh(believing=False)
        function(*args)


def _tell_row(name: str, args: tuple[Argument, ...], failure: Failure) -> None:
    """Hand the failure on; a row that cannot be told now is found by its lapsed lease or by a sweep."""
    tell = TOLD_OF_FAILURE.get(name)
    if tell is None:
        return
    try:
        tell(*args, failure=failure)
    except Exception:
        logger.exception("incident %s could not be told to the row of %s%r", failure.incident, name, args)


def _called_by(job: Job) -> tuple[Any, ...]:
    """Return the name and the arguments in a queue entry; nothing where it is none of ours."""
    try:
        return tuple(job.args) if job.func is run else ()
    except Exception:
        logger.exception("refused an entry of the queue that is no job")
        return ()


def _carry_out(called: tuple[Any, ...]) -> None:
    """Call what a queue entry names; whatever comes of it, the worker goes on."""
    if called:
        with contextlib.suppress(Exception):  # `run` has logged it, and told the row
            run(*called)


class Worker(SimpleWorker):
    """Runs jobs in its own process: a fork would cost more than most jobs (see design.md, "Measured")."""

    death_penalty_class = TimerDeathPenalty
    # A Redis that was away for long is found again as soon as one that was away for a moment.
    max_connection_wait_time = 2.0
    ending = False
    beats_again_at = 0.0

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Carry out one job without RQ's books of who runs what and what became of it.

        Nothing relies on them, and they cost more than a small job: a row's lease says who works at it, a
        sweep finds what was lost, `run` tells of a failure (attacks.md, section 4).
        """
        self._state = WorkerStatus.BUSY
        called = _called_by(job)
        _take_off(queue, job, called)
        try:
            with TimerDeathPenalty(JOB_SECONDS, JobTimeoutException, job_id=job.id):
                _carry_out(called)
        finally:
            self._state = WorkerStatus.IDLE

    def check_for_suspension(self, burst: bool) -> None:
        """Ask nobody before each job: workers are ended, never suspended."""

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:  # noqa: ARG002  RQ's own
        """Keep for this process what it does; nobody asks Redis for it."""
        self._state = state

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Say now and then that this worker lives, which `doctor` counts; RQ says it three times a job."""
        if time.monotonic() < self.beats_again_at:
            return
        self.beats_again_at = time.monotonic() + BEAT_SECONDS
        super().heartbeat(timeout, pipeline)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """End after the job in hand; unlike RQ's own way, a Redis that is away does not hold it up."""
        self.ending = True
        try:
            super().request_stop(signum, frame)  # type: ignore[no-untyped-call]
        except RedisError as error:
            if self._state != WorkerStatus.BUSY:
                raise StopRequested from error
            self._stop_requested = True


def worker_of(queue: Queue) -> Worker:
    """Make the worker of a queue, which says to Redis that it is there only once it works."""
    return Worker(
        [queue],
        connection=queue.connection,
        serializer=JSONSerializer,
        job_class=AllowedJob,
        worker_ttl=WORKER_SECONDS,
    )


def work() -> None:
    """Run jobs until told to end; called by `manage.py run worker`.

    RQ ends its worker at whatever it did not expect, a full or hanging Redis among it: here another goes on.
    """
    while not _work_until_trouble():
        time.sleep(REST_SECONDS)


def _work_until_trouble() -> bool:
    """Run jobs with one worker of RQ's; whether it was told to end."""
    worker = None
    queue = _queue()
    try:
        worker = worker_of(queue)
        worker.work(logging_level="WARNING")
    except RedisError as error:
        logger.warning("queue out of reach: %s", error)
    return worker is not None and worker.ending


def sweep_once(due: dict[Callable[[], None], float] | None = None) -> None:
    """Call every registered sweep whose time has come (all of them when no times are given)."""
    times: dict[Callable[[], None], float] = {} if due is None else due
    for entry in SWEEPS:
        if times.get(entry.run, 0.0) > time.monotonic():
            continue
        times[entry.run] = time.monotonic() + entry.every_seconds
        _guarded(entry.run)


def _guarded(function: Callable[[], Any]) -> None:
    refresh()
    with trace.following(sweep=function.__qualname__):
        try:
            function()
        except Exception:
            logger.exception("sweep %s failed", function.__qualname__)


def for_each(rows: Iterable[Row], act: Callable[[Row], None]) -> None:
    """Act on each of a sweep's rows; one at which we break off by a fault of our own holds up no other.

    Raises:
        OperationalError, InterfaceError, InternalError: the database is in trouble, which ends the sweep.
    """
    for row in rows:
        try:
            act(row)
        except DATABASE_AWAY:
            raise
        except Exception:
            logger.exception("broke off at %s", row)


def sweep_forever() -> None:
    """Call the sweeps until told to end; called by `manage.py run sweeper`."""
    ending: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: ending.append(received))
    due: dict[Callable[[], None], float] = {}
    while not ending:
        sweep_once(due)
        time.sleep(0.2)
