"""The database's time: web hosts and workers may be wrong about theirs."""

from datetime import datetime

from django.db import connection


def now() -> datetime:
    """Return the database's wall-clock time, with zone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (value,) = cursor.fetchone()
    assert isinstance(value, datetime)
    return value
