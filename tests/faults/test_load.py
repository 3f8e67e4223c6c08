"""Many rollouts at once, too few connections, nudges doubled and out of order: all end, each act once."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import connection

from releases.rollouts.models import Rollout
from tests.factories import make_shop
from tests.faults.conftest import World, address, let_time_pass, made_up, work
from tests.soak import SOAKING, long, repeated

# The fewer get through, the more rounds it takes.
ROLLOUTS, WORKERS, CONNECTIONS = (200, 12, 9) if SOAKING else (12, 8, 3)
MOST_ROUNDS = 60


@pytest.fixture
def few_connections(transactional_db: None) -> Iterator[None]:
    """The database takes fewer callers than there are workers."""
    name = connection.settings_dict["NAME"]
    with psycopg.connect(address(), autocommit=True) as other:
        other.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT {CONNECTIONS}')
        yield
        other.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')


@long
@repeated
def test_more_rollouts_and_workers_than_connections_lose_nothing(
    few_connections: None, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    shop = make_shop()
    rollouts = [made_up(shop) for _ in range(ROLLOUTS)]
    order = random.Random(7)
    with ThreadPoolExecutor(WORKERS) as pool:
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
    assert len(world.acts) == len(set(world.acts)) == 2 * ROLLOUTS
    assert {rollout.pk for rollout in rollouts} == set(Rollout.objects.values_list("pk", flat=True))
