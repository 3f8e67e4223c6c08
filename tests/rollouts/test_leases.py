"""Who may write to a rollout, and which rows that locks."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.db.models import F
from pytest_django import DjangoAssertNumQueries

from portal import clock
from releases.catalog.models import Connection, Environment
from releases.models import Release
from releases.operations import waking
from releases.rollouts import leases
from releases.rollouts.models import Order, Rollout
from releases.rollouts.states import OrderKind
from tests.factories import Shop, make_release, roll_out
from tests.soak import long

pytestmark = pytest.mark.django_db(transaction=True)


def on_another_connection(act: Callable[[], Any]) -> list[Exception]:
    """Do it where nothing waits for a lock longer than a second; returns what went wrong."""
    faults: list[Exception] = []

    def run() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '1s'")
            act()
        except DatabaseError as error:
            faults.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=20)
    return faults


def until_somebody_waits_for_a_lock() -> None:
    deadline = time.monotonic() + 10
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(waiting)
            if cursor.fetchone() != (0,):
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits for a lock")


def write(rollout: Rollout) -> None:
    """Take the lease and write once, as the engine does."""
    lease = leases.take(rollout.pk)
    assert lease is not None
    with leases.writing(lease) as row:
        assert row.pk == rollout.pk


@long
def test_the_engine_waits_for_nobody_who_holds_the_environment_or_the_cluster(shop: Shop) -> None:
    """People lock the environment before the release: the other way round, both would wait for ever."""
    release = make_release(shop, at="approved")
    with transaction.atomic():
        rollout = roll_out(release, shop)
    with transaction.atomic():
        Environment.objects.select_for_update(no_key=True).get(pk=release.environment_id)
        Connection.objects.select_for_update(no_key=True).get(pk=release.environment.cluster_id)
        assert on_another_connection(lambda: write(rollout)) == []


@long
def test_the_engine_takes_the_release_before_the_rollout(shop: Shop) -> None:
    """As people do: who held the rollout while waiting for its release would wait for ever."""
    release = make_release(shop, at="approved")
    with transaction.atomic():
        rollout = roll_out(release, shop)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Release.objects.select_for_update().get(pk=release.pk)
            faults = pool.submit(on_another_connection, lambda: write(rollout))
            until_somebody_waits_for_a_lock()
            Rollout.objects.select_for_update(nowait=True).get(pk=rollout.pk)
        assert faults.result() == []


def run_out(lease: leases.Lease) -> None:
    Rollout.objects.filter(pk=lease.rollout_id).update(lease_until=clock.now() - timedelta(seconds=1))


def taken(shop: Shop) -> leases.Lease:
    """The lease of a new rollout."""
    release = make_release(shop, at="approved")
    with transaction.atomic():
        rollout = roll_out(release, shop)
    lease = leases.take(rollout.pk)
    assert lease is not None
    return lease


def test_a_lease_that_ran_out_stands_until_somebody_takes_it(shop: Shop) -> None:
    lease = taken(shop)
    run_out(lease)
    with leases.writing(lease) as row:
        assert row.lease_until is not None
        assert row.lease_until > clock.now()
    run_out(lease)
    assert leases.take(lease.rollout_id) is not None
    with pytest.raises(leases.LeaseLost), leases.writing(lease):
        raise AssertionError("an old epoch wrote")


@long
def test_a_long_look_keeps_its_lease(shop: Shop) -> None:
    lease = taken(shop)
    run_out(lease)
    leases.keep(lease)
    lease.asked_at -= leases.KEEP_SECONDS + 1
    leases.keep(lease)
    assert leases.take(lease.rollout_id) is None


@long
def test_an_order_that_comes_while_the_lease_is_waited_for_is_heard(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    with transaction.atomic():
        rollout = roll_out(release, shop)

    def take() -> leases.Lease | None:
        try:
            return leases.take(rollout.pk)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Rollout.objects.select_for_update().get(pk=rollout.pk)
            taken = pool.submit(take)
            until_somebody_waits_for_a_lock()
            Order.objects.create(rollout=rollout, kind=OrderKind.STOP, asked_at=clock.now())
            Rollout.objects.filter(pk=rollout.pk).update(nudges=F("nudges") + 1)
        lease = taken.result(timeout=20)
    assert lease is not None
    assert leases.halted(lease)


def test_who_takes_it_while_nobody_ordered_anything_need_not_ask_again(
    shop: Shop, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    release = make_release(shop, at="approved")
    with transaction.atomic():
        rollout = roll_out(release, shop)
    lease = leases.take(rollout.pk)
    assert lease is not None
    with django_assert_num_queries(0):
        assert not leases.halted(lease)


def test_whoever_takes_it_up_or_finds_it_taken_says_that_a_nudge_was_heard(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    with transaction.atomic():
        rollout = roll_out(release, shop)
    heard = [clock.now()]
    for _time in range(2):
        leases.take(rollout.pk)
        rollout.refresh_from_db()
        assert rollout.heard_at is not None
        heard.append(rollout.heard_at)
    assert heard == sorted(set(heard))


def test_what_people_do_while_a_look_ends_is_looked_at_though_its_nudge_is_lost(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waking, "enqueue", lambda *_nudge: None)
    with transaction.atomic():
        rollout = roll_out(make_release(shop, at="approved"), shop)
    Rollout.objects.filter(pk=rollout.pk).update(state="awaiting_signoff")
    lease = leases.take(rollout.pk)
    assert lease is not None
    waking.wake(rollout.release)
    in_ten_minutes = clock.now() + timedelta(minutes=10)
    assert not leases.release(lease, wake_at=lambda: in_ten_minutes)
    assert leases.release(lease, wake_at=lambda: in_ten_minutes)


def test_who_finds_it_taken_counts_a_nudge_and_nothing_else_in_one_statement(
    shop: Shop, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    lease = taken(shop)
    before = Rollout.objects.get(pk=lease.rollout_id)
    with django_assert_num_queries(1):
        assert leases.take(lease.rollout_id) is None
    after = Rollout.objects.get(pk=lease.rollout_id)
    assert after.nudges == before.nudges + 1
    same = ("lease_owner", "lease_epoch", "lease_until", "stumble", "wake_at", "state")
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]
    with leases.writing(lease):
        pass


def test_a_rollout_that_is_gone_is_not_taken(shop: Shop) -> None:
    assert leases.take(0) is None
