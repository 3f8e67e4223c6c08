"""Shapes that every part of the API shares; `Body` refuses what it does not know."""

from typing import Generic, TypeVar

from ninja import Field, Schema
from pydantic import ConfigDict

Item = TypeVar("Item")


class Body(Schema):
    """What a client sends: a field that is not named is refused."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


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
