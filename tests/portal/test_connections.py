"""A connection to the database is looked at once a second at most, and at once where something broke."""

import threading

import psycopg
import pytest
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection
from django.db import connections as databases

from portal import connections, jobs
from portal.connections import refresh
from tests.rollouts.processes import database_url

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


class TestAConnectionThatEnds:
    """A job meets a connection that has ended since it was looked at, or one that ends while it runs."""

    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """What the job was called with; its connection has ended when it is called first."""
        called: list[int] = []

        def job(number: int) -> None:
            called.append(number)
            if len(called) == 1:
                end_connection()
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")

        monkeypatch.setitem(jobs.JOBS, "tests.made_up", job)
        return called

    def test_it_begins_anew_where_that_was_believed(self, calls: list[int]) -> None:
        refresh(believing=False)
        connection.ensure_connection()
        jobs.run("tests.made_up", 7)
        assert calls == [7, 7]

    def test_it_fails_where_it_was_looked_at_for_this_job(
        self, calls: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connections, "BELIEVED_SECONDS", -1.0)
        with pytest.raises(OperationalError):
            jobs.run("tests.made_up", 7)
        assert calls == [7]


def end_connection() -> None:
    """Let the server end this thread's connection, as in a switch-over."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    with psycopg.connect(database_url()) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
