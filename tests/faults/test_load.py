"""Many rollouts at once, too few connections, nudges doubled and out of order: all end, each act once."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import psycopg
import pytest
from django.db import connection

from releases.rollouts.models import Rollout
from tests.factories import make_shop
from tests.faults.conftest import ACTS, World, address, let_time_pass, made_up, work
from tests.soak import SOAKING, long, repeated

MOST_ROUNDS = 60


class Crowd(NamedTuple):
    """So many at once; the fewer get through, the more rounds it takes."""

    rollouts: int
    workers: int
    connections: int


QUICK = Crowd(rollouts=4, workers=8, connections=3)
WHOLE = Crowd(rollouts=200, workers=12, connections=9) if SOAKING else Crowd(12, 8, 3)


@pytest.fixture(params=[QUICK, pytest.param(WHOLE, marks=long)], ids=["some", "many"])
def crowd(transactional_db: None, request: pytest.FixtureRequest) -> Iterator[Crowd]:
    """The database takes fewer callers than there are workers."""
    name, made = connection.settings_dict["NAME"], request.param
    with psycopg.connect(address(), autocommit=True) as other:
        other.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT {made.connections}')
        yield made
        other.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')


@repeated
def test_more_rollouts_and_workers_than_connections_lose_nothing(
    crowd: Crowd, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    shop = make_shop()
    rollouts = [made_up(shop) for _ in range(crowd.rollouts)]
    order = random.Random(7)
    with ThreadPoolExecutor(crowd.workers) as pool:
        for _ in range(MOST_ROUNDS):
            waiting = list(Rollout.objects.exclude(state="succeeded"))
            if not waiting:
                break
            nudges: list[Any] = waiting * 2
            order.shuffle(nudges)
            list(pool.map(work, nudges))
            for rollout in waiting:
                let_time_pass(rollout)
    assert "too many connections" in caplog.text
    states = set(Rollout.objects.values_list("state", "stumble"))
    assert states == {("succeeded", None)}
    assert len(world.acts) == len(set(world.acts)) == ACTS * crowd.rollouts
    assert {rollout.pk for rollout in rollouts} == set(Rollout.objects.values_list("pk", flat=True))
