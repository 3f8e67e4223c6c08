"""One id for all that follows from one click: in the log of every process, and in each call to a cluster.

A request gets a new one. What it starts keeps it in its row, as Redis may forget a job, and the worker goes
on under it. The log's lines carry it by themselves, see `portal.logs`.
"""

import secrets
from contextlib import AbstractContextManager

from structlog.contextvars import bind_contextvars, bound_contextvars, get_contextvars

SHORT = 8  # what a person can read out over the telephone; the log is searched by it as by the whole


def current() -> str:
    """The trace of what runs here now: 32 hexadecimal digits, as W3C Trace Context has; "" without one."""
    return str(get_contextvars().get("trace", ""))


def following(trace: str = "", **facts: object) -> AbstractContextManager[object]:
    """Let what runs inside log under a trace and these facts.

    Args:
        trace: the one to go on under; a new one where it is empty.
    """
    return bound_contextvars(trace=trace or secrets.token_hex(16), **facts)


def name_person(username: str) -> None:
    """Let what is logged from here on name who asked."""
    bind_contextvars(person=username)


def turn_to(trace: str) -> None:
    """Go on under another trace: somebody asked for something else meanwhile."""
    if trace:
        bind_contextvars(trace=trace)


def number() -> str:
    """What somebody quotes who met a fault: the beginning of the trace."""
    return (current() or secrets.token_hex(16))[:SHORT]
