"""Connections to the database that a process keeps: looked at now and then, not before each small task.

Django asks each one whether it still stands before its next use, which costs as much as any other question.
"""

import math
import threading
import time

from django.db import close_old_connections, connection

# One that has ended since is found by the task that uses it, which begins anew.
BELIEVED_SECONDS = 1.0
_looked = threading.local()


def refresh(*, believing: bool = True) -> bool:
    """Give up this thread's connection where it broke or is too old.

    Args:
        believing: one that was looked at just now is believed; not where a task broke off at any place.

    Returns:
        Whether it was believed: it may have ended since.
    """
    now = time.monotonic()
    half_way = connection.connection is not None and not connection.autocommit
    doubted = not believing or connection.errors_occurred or half_way
    if not doubted and now - getattr(_looked, "at", -math.inf) <= BELIEVED_SECONDS:
        return True
    close_old_connections()
    _looked.at = now
    return False
