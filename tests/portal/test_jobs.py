"""The queue is a place anybody with Redis can write to: an entry may only ever call the runner."""

from collections.abc import Callable

import pytest
from redis import Redis
from rq.serializers import JSONSerializer

from portal import jobs

FOREIGN = "os.getcwd"


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
