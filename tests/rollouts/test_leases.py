"""Who may write to a rollout, and which rows that locks."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction

from releases.catalog.models import Connection, Environment
from releases.rollouts import leases
from releases.rollouts.models import Rollout
from tests.factories import Shop, make_release, roll_out

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


def write(rollout: Rollout) -> None:
    """Take the lease and write once, as the engine does."""
    lease = leases.take(rollout.pk)
    assert lease is not None
    with leases.writing(lease) as row:
        assert row.pk == rollout.pk


def test_the_engine_waits_for_nobody_who_holds_the_environment_or_the_cluster(shop: Shop) -> None:
    """People lock the environment before the release: the other way round, both would wait for ever."""
    release = make_release(shop, at="approved")
    with transaction.atomic():
        rollout = roll_out(release, shop)
    with transaction.atomic():
        Environment.objects.select_for_update(no_key=True).get(pk=release.environment_id)
        Connection.objects.select_for_update(no_key=True).get(pk=release.environment.cluster_id)
        assert on_another_connection(lambda: write(rollout)) == []
