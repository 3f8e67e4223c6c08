"""Shapes that every part of the API shares; `Body` refuses what it does not know."""

import re
from datetime import datetime
from typing import Annotated, Generic, TypeVar

from ninja import Field, Schema
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

Item = TypeVar("Item")
RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})?", re.ASCII)
DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
FIRST_YEAR, LAST_YEAR = 1970, 9000


class Body(Schema):
    """What a client sends: a field that is not named is refused."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


def _as_rfc_3339(value: object) -> object:
    """Seconds since 1970, days and weeks are times to the library, not to us."""
    if isinstance(value, str) and RFC_3339.fullmatch(value.strip()):
        return value.strip()
    raise PydanticCustomError("datetime_parsing", "not RFC 3339")


def as_written(value: object) -> object:
    """A day is a text such as 2026-12-01, never a number of seconds."""
    if isinstance(value, str) and DAY.fullmatch(value.strip()):
        return value.strip()
    raise PydanticCustomError("date_parsing", "not a day")


def _within_reach(value: datetime) -> datetime:
    """Times at the ends of the calendar have no equal in other zones."""
    if not FIRST_YEAR < value.year < LAST_YEAR:
        raise PydanticCustomError("datetime_out_of_reach", "out of reach")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_as_rfc_3339), AfterValidator(_within_reach)]


class Paged(Schema, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next: str | None = Field(None, description="The cursor of the page that follows; null at the end.")


class Problem(Schema):
    """A refusal (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    missing: list[dict[str, object]]
