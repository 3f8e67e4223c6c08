"""Lists in pages: a cursor names the last row seen, so that pages hold still while rows are added."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from django.db.models import Model, QuerySet
from django.utils.translation import gettext_lazy as _
from ninja import Field, Schema

from portal.errors import Invalid, field_error

Row = TypeVar("Row", bound=Model)
Shape = TypeVar("Shape")
LARGEST_PAGE = 200


class PageQuery(Schema):
    """The parameters of every list."""

    limit: int = Field(50, ge=1, le=LARGEST_PAGE)
    cursor: str | None = Field(None, max_length=300)


class Slice(NamedTuple):
    """Rows of a page and the cursor of the next one."""

    rows: list[Any]
    next: str | None


def page(rows: QuerySet[Row], *, query: PageQuery, key: str = "pk", descending: bool = True) -> Slice:
    """Cut one page out of the rows, ordered by a unique field.

    Args:
        key: the field, such as "number"; its values must be numbers or text.

    Raises:
        Invalid: the cursor is none of ours.
    """
    comparison = f"{key}__{'lt' if descending else 'gt'}"
    if query.cursor:
        rows = rows.filter(**{comparison: _read(query.cursor, example=key)})
    return _cut(rows.order_by(f"{'-' if descending else ''}{key}"), query=query, key=key)


def page_in_order(rows_after: Callable[[int | None], QuerySet[Row]], *, query: PageQuery) -> Slice:
    """Cut one page out of rows in an order of their own.

    Args:
        rows_after: the rows that follow one, by its key; all of them without it.

    Raises:
        Invalid: the cursor is none of ours.
    """
    last = int(_read(query.cursor, example="pk")) if query.cursor else None
    return _cut(rows_after(last), query=query, key="pk")


def _cut(rows: QuerySet[Row], *, query: PageQuery, key: str) -> Slice:
    found = list(rows[: query.limit + 1])
    more = len(found) > query.limit
    found = found[: query.limit]
    return Slice(found, cursor(getattr(found[-1], key)) if more else None)


def answer(part: Slice, shape: Callable[[Any], Shape]) -> dict[str, Any]:
    """The page as the API writes it."""
    return {"items": [shape(row) for row in part.rows], "next": part.next}


def whole(items: Iterable[Any]) -> dict[str, Any]:
    """A list that is never longer than one page."""
    return {"items": list(items), "next": None}


def cursor(value: int | str) -> str:
    """Write a cursor after the row with this key."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _read(text: str, *, example: str) -> int | str:
    try:
        padded = text + "=" * (-len(text) % 4)
        value = json.loads(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise _wrong() from error
    wanted = str if example in {"username", "name", "key"} else int
    if (
        type(value) is not wanted
        or (isinstance(value, int) and not 0 <= value < 2**63)
        or "\x00" in str(value)
    ):
        raise _wrong()
    assert isinstance(value, int | str)
    return value


def _wrong() -> Invalid:
    text = _("This is no cursor of this list.")
    return Invalid(text, missing=[field_error("cursor", text)])
