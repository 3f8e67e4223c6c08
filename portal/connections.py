"""Connections to the database that a process keeps: looked at now and then, not before each small task.

Django asks each one whether it still stands before its next use, which costs as much as any other question.
"""

import math
import threading
import time

from django.db import close_old_connections, connection

# One that has ended since is found by the task that uses it, which fails, and is found by a sweep.
BELIEVED_SECONDS = 1.0
_looked = threading.local()


def refresh(*, believing: bool = True) -> None:
    """Give up this thread's connection where it broke or is too old.

    Args:
        believing: one that was looked at just now is believed; not where a task broke off at any place.
    """
    now = time.monotonic()
    doubted = not believing or connection.errors_occurred
    if doubted or now - getattr(_looked, "at", -math.inf) > BELIEVED_SECONDS:
        close_old_connections()
        _looked.at = now
