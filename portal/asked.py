"""What nearly every page asks of the whole portal, and nearly always finds nothing of: one statement for all.

An app registers such a question when it is ready; a page is told the answers to all of them as soon as it
comes to the first. Each is written by the ORM, once in a process, which takes longer than to answer it.
"""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from portal import clock
from portal.reader import Reader

# Makes a query of one column, the same whoever asks and whenever: the time in it is `clock.NOW`.
Question = Callable[[], QuerySet[Any, Any]]
_questions: list[Question] = []


def register(question: Question) -> None:
    """Have something asked together with what others ask."""
    _questions.append(question)
    _statement.cache_clear()


def first(reader: Reader, question: Question) -> Any:
    """What a registered question finds first; None where it finds nothing."""
    return reader.once(_answers)[question]


def page_time(reader: Reader) -> datetime:
    """The database's time for a whole page: when it asked."""
    at: datetime = clock.counted() or reader.once(_answers)[None]
    return at


def _answers(_reader: Reader) -> dict[Question | None, Any]:
    """All answers by their questions, and the time by none."""
    statement, parameters = _statement()
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return dict(zip((None, *_questions), cursor.fetchone(), strict=True))


@cache
def _statement() -> tuple[str, tuple[Any, ...]]:
    """All questions as columns of one row."""
    written = [question()[:1].query.sql_with_params() for question in _questions]
    columns = ", ".join(["clock_timestamp()", *(f"({statement})" for statement, _given in written)])
    return f"SELECT {columns}", tuple(each for _statement, given in written for each in given)
