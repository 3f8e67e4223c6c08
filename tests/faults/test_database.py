"""PostgreSQL is cut off, loses answers, ends connections or takes no writes: nothing is lost or doubled."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection

from releases.models import Release
from tests.factories import Shop, make_release, make_shop
from tests.faults.conftest import ACTS, World, address, finish, made_up, require_whole, work
from tests.faults.line import Line
from tests.portal.api import ApiClient
from tests.soak import long


@long
def test_a_lost_answer_to_any_commit_loses_and_repeats_nothing(line: Line, world: World) -> None:
    shop = make_shop()
    lost = 0
    while True:
        rollout = made_up(shop)
        world.acts.clear()
        line.commits_left = lost
        work(rollout)
        if line.lost == lost:
            break  # the round had no commit left to lose
        lost = line.lost
        finish(rollout)
        require_whole(rollout, world)
    assert lost > ACTS * 2


def test_a_database_away_costs_the_time_it_is_away(line: Line, world: World) -> None:
    rollout = made_up(make_shop())

    def cut() -> None:
        line.away = True

    world.during = cut
    work(rollout)
    work(rollout)
    assert line.away
    assert len(world.acts) == 1
    line.away, world.during = False, None
    finish(rollout)
    require_whole(rollout, world)


def test_a_connection_ended_by_the_server_in_mid_act_costs_a_round(
    transactional_db: None, world: World
) -> None:
    rollout = made_up(make_shop())
    ended = []

    def end() -> None:
        with psycopg.connect(address(), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
        ended.append(len(world.acts))

    world.during = end
    work(rollout)
    world.during = None
    assert ended
    finish(rollout)
    require_whole(rollout, world)


@pytest.fixture
def read_only(transactional_db: None) -> Iterator[Any]:
    """Switches the whole database to reading and back, as after a failover to the wrong side."""

    def switch(*, on: bool) -> None:
        with psycopg.connect(address(), autocommit=True) as other:
            name = connection.settings_dict["NAME"]
            other.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {on}')
        connection.close()

    yield switch
    switch(on=False)


def test_a_database_that_takes_no_writes_holds_a_rollout_up_and_blames_no_step(
    read_only: Any, world: World
) -> None:
    rollout = made_up(make_shop())
    read_only(on=True)
    for _ in range(4):
        work(rollout)
    read_only(on=False)
    assert world.acts == []
    assert finish(rollout) == 1
    require_whole(rollout, world)


def test_a_database_that_takes_no_writes_is_told_in_words(read_only: Any) -> None:
    shop = make_shop()
    api = ApiClient(shop.cast.author)
    read_only(on=True)
    answer = api.post("/releases", shop.data())
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    read_only(on=False)
    assert Release.objects.count() == 0


def test_a_write_whose_answer_was_lost_is_found_by_its_key(line: Line, registry: Any) -> None:
    shop = make_shop()
    api = ApiClient(shop.cast.author)
    line.commits_left = 0
    lost = api.post("/releases", shop.data(), idempotency_key="once")
    assert (line.lost, lost.status_code) == (1, 503)
    connection.close()
    found = api.post("/releases", shop.data(), idempotency_key="once")
    assert found.headers["Idempotency-Replayed"] == "true"
    assert Release.objects.get().number == found.json()["number"]


def test_a_full_disk_refuses_the_act_whole(shop: Shop) -> None:
    """The record cannot be written: then the act did not happen either."""
    release = make_release(shop, at="in_review")
    api = ApiClient(shop.cast.pl)
    with connection.cursor() as cursor:
        cursor.execute(FULL)
    body = {"verdict": "approve", "content_digest": release.content_digest}
    answer = api.post(f"/releases/{release.number}/decisions", body, Accept_Language="en")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "disk of the database is full" in answer.json()["detail"]
    release.refresh_from_db()
    request = release.approval_request
    assert request is not None
    assert (release.state, request.decisions.count()) == ("in_review", 0)


FULL = """
CREATE FUNCTION pg_temp.full_disk() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON audit_auditentry
FOR EACH ROW EXECUTE FUNCTION pg_temp.full_disk();
"""
