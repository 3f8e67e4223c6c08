"""Rows that a transaction writes with its last statement: one for all of a kind, instead of one for each act.

Only what nothing in between reads may be held, or whoever reads it calls `write_out` first.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

Row = tuple[Any, ...]
Write = Callable[[list[Row]], object]


class HeldOutside(Exception):
    """Rows held outside of a savepoint would go with it."""


@dataclass
class _Held:
    """What one block holds, by how it is written; `depth` is that of its savepoints."""

    depth: int
    rows: dict[Write, list[Row]] = field(default_factory=dict)


_present: ContextVar[_Held | None] = ContextVar("held_rows", default=None)


@contextmanager
def holding() -> Iterator[None]:
    """Hold rows until this block ends, within a transaction; where it raises, nothing of them is written."""
    if _present.get() is not None:
        yield
        return
    token = _present.set(_Held(_depth()))
    try:
        yield
        write_out()
    finally:
        _present.reset(token)


def hold_or_write(write: Write, row: Row) -> None:
    """Hold a row where a block does; elsewhere, and in a savepoint of its own, write it at once.

    What is written in a savepoint comes before what is held outside of it.
    """
    held = _present.get()
    if held is None or held.depth != _depth():
        write([row])
    else:
        held.rows.setdefault(write, []).append(row)


def write_out() -> None:
    """Write what is held so far.

    Raises:
        HeldOutside: asked for within a savepoint, whose end could take the rows of the acts before it along.
    """
    held = _present.get()
    if held is None or not held.rows:
        return
    if held.depth != _depth():
        raise HeldOutside
    rows, held.rows = held.rows, {}
    for write, own in rows.items():
        write(own)


def as_json(names: Sequence[str], rows: Iterable[Row]) -> str:
    """Write rows as `json_to_recordset` reads them; arrays would be put together value by value."""
    return json.dumps([dict(zip(names, row, strict=True)) for row in rows], default=str)


def _depth() -> int:
    return len(connection.savepoint_ids)
