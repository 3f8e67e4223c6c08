"""The database's time: web hosts and workers may be wrong about theirs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import DateTimeField, Func

# For queries that read rows and the time together.
NOW = Func(function="clock_timestamp", output_field=DateTimeField())
_read: ContextVar[tuple[datetime, float] | None] = ContextVar("time_read", default=None)


def now() -> datetime:
    """Return the database's wall-clock time, with zone."""
    at = counted()
    if at is not None:
        return at
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (value,) = cursor.fetchone()
    assert isinstance(value, datetime)
    return value


def counted() -> datetime | None:
    """Return the time as a block counts it on, None outside of one."""
    read = _read.get()
    if read is None:
        return None
    at, since = read
    return at + timedelta(seconds=time.monotonic() - since)


@contextmanager
def counting_on(at: datetime) -> Iterator[None]:
    """Count on from the database's time just read instead of asking again, for the seconds of a block.

    The counter is one that nobody can set: a host whose clock is wrong or jumps counts as well as any. The
    demo counts from an earlier time, so that what it shows happened on that day.
    """
    token = _read.set((at, time.monotonic()))
    try:
        yield
    finally:
        _read.reset(token)
