"""A connection to the database is looked at once a second at most, and at once where something broke."""

import threading

import pytest
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection
from django.db import connections as databases

from portal import connections
from portal.connections import refresh

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def checked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """How often the database was asked whether it still stands, and what came of it."""
    asked: list[bool] = []
    kept = databases[DEFAULT_DB_ALIAS]
    is_usable = kept.is_usable

    def ask_it() -> bool:
        asked.append(is_usable())
        return asked[-1]

    monkeypatch.setattr(kept, "is_usable", ask_it)
    monkeypatch.setattr(kept, "health_check_enabled", True)
    monkeypatch.setattr(connections, "_looked", threading.local())
    kept.ensure_connection()
    return asked


def ask() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def test_many_small_tasks_look_once(checked: list[bool]) -> None:
    for _task in range(20):
        refresh()
        ask()
    assert checked == [True]


def test_after_a_second_it_is_looked_at_again(checked: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    refresh()
    ask()
    monkeypatch.setattr(connections, "BELIEVED_SECONDS", 0.0)
    refresh()
    ask()
    assert checked == [True, True]


def test_one_that_broke_is_replaced_at_once(checked: list[bool]) -> None:
    refresh()
    ask()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (before,) = cursor.fetchone()
    with pytest.raises(OperationalError):
        _die()
    refresh()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        assert cursor.fetchone() != (before,)


def test_where_a_task_broke_off_nothing_is_believed(checked: list[bool]) -> None:
    refresh()
    ask()
    refresh(believing=False)
    ask()
    assert checked == [True, True]


def _die() -> None:
    ask()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
