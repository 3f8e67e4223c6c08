"""Redis is emptied, dies, hangs, is full or away: people act on, no rollout is lost or held for long."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portal import clock, jobs
from releases.rollouts.models import Rollout
from tests.embedded.processes import wait_for
from tests.factories import Shop, make_release
from tests.faults.own_redis import Server, own_redis
from tests.portal.api import ApiClient
from tests.rollouts.conftest import notices
from tests.rollouts.processes import Processes, processes
from tests.soak import SOAKING, long, soak

__all__ = ["notices"]

AWAY_SECONDS = 60 if SOAKING else 3
# Two calls that wait a second each (a nudge and a ring), the act itself, and a busy machine.
CLICK_SECONDS = 12.0
# RQ by itself would rest for up to a minute, or for ever.
ON_SECONDS = 10.0
END_SECONDS = 15.0


Trouble = tuple[Callable[[Server], None], Callable[[Server], None]]
TROUBLES: dict[str, Trouble] = {
    "emptied": (Server.empty, lambda _server: None),
    "killed": (Server.kill, Server.start),
    "hangs": (lambda server: server.send(signal.SIGSTOP), lambda server: server.send(signal.SIGCONT)),
    "slow": (Server.slow_down, Server.hurry),
    "full": (lambda server: server.limit("1"), lambda server: server.limit("128mb")),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The Redis of this test and of the processes that it starts."""
    with own_redis(tmp_path) as made:
        yield made


@pytest.fixture
def roles(transactional_db: None, server: Server) -> Iterator[Processes]:
    """A worker and a sweeper on that Redis."""
    with processes() as made:
        for role in ("worker", "sweeper"):
            made.start(role, REDIS_URL=server.valkey.url)
        yield made


@long
@pytest.mark.parametrize("name", [pytest.param("emptied", marks=soak), "killed", "hangs", "slow", "full"])
def test_a_rollout_goes_on_seconds_after_redis_is_back(
    roles: Processes, server: Server, notices: Rollout, name: str
) -> None:
    begin, end = TROUBLES[name]
    begin(server)
    Rollout.objects.filter(pk=notices.pk).update(wake_at=clock.now())
    time.sleep(AWAY_SECONDS)
    end(server)
    assert wait_for(lambda: _state(notices) == "succeeded", seconds=ON_SECONDS), roles.logs()
    assert all(process.poll() is None for process in roles.running), "a process gave up"


@long
@pytest.mark.parametrize("name", ["hangs", "killed", "slow"])
def test_people_decide_without_redis(transactional_db: None, server: Server, shop: Shop, name: str) -> None:
    release = make_release(shop, at="in_review")
    begin, _end = TROUBLES[name]
    begin(server)
    body = {"verdict": "approve", "content_digest": release.content_digest}
    since = time.monotonic()
    answer = ApiClient(shop.cast.pl).post(f"/releases/{release.number}/decisions", body)
    assert answer.status_code in {200, 201}, answer.content
    assert time.monotonic() - since < CLICK_SECONDS


@long
def test_a_worker_that_starts_without_redis_waits_for_it(
    roles: Processes, server: Server, notices: Rollout
) -> None:
    server.kill()
    second = roles.start("worker", REDIS_URL=server.valkey.url)
    time.sleep(AWAY_SECONDS)
    assert second.poll() is None, roles.logs()
    first = roles.running[0]
    first.kill()
    first.wait()
    server.start()
    Rollout.objects.filter(pk=notices.pk).update(wake_at=clock.now())
    assert wait_for(lambda: _state(notices) == "succeeded", seconds=ON_SECONDS), roles.logs()


@long
def test_a_worker_ends_when_asked_although_redis_is_away(roles: Processes, server: Server) -> None:
    worker = roles.running[0]
    server.kill()
    time.sleep(1)
    worker.send_signal(signal.SIGTERM)
    ended = worker.wait(timeout=END_SECONDS)
    server.start()
    assert ended == 0


@long
def test_nudges_that_nobody_takes_do_not_fill_redis(
    transactional_db: None, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MOST_WAITING", 5)
    for number in range(10):
        jobs.enqueue("releases.rollouts.jobs.advance", number)
    with server.client() as client:
        assert client.llen("rq:queue:default") == 5
        assert all(client.ttl(key) > 0 for key in client.keys("rq:job:*"))


@long
def test_a_nudge_that_waits_is_not_doubled_until_somebody_takes_it(
    transactional_db: None, server: Server
) -> None:
    for _ in range(3):
        jobs.enqueue("releases.rollouts.jobs.advance", 7)
    jobs.enqueue("releases.rollouts.jobs.advance", 8)
    with server.client() as client:
        assert client.llen("rq:queue:default") == 2
        jobs.worker_of(jobs._queue()).work(burst=True, max_jobs=1)
        jobs.enqueue("releases.rollouts.jobs.advance", 7)
        jobs.enqueue("releases.rollouts.jobs.advance", 8)
        assert client.llen("rq:queue:default") == 2


def _state(rollout: Rollout) -> str:
    rollout.refresh_from_db()
    return rollout.state
