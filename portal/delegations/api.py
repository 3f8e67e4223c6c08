"""Routes of delegations: for who gives them, and for administrators."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from portal import clock
from portal.actors import Actor
from portal.api import paging
from portal.api.auth import actor_of
from portal.api.paging import PageQuery
from portal.api.schemas import Body, Moment, Paged
from portal.api.strict import hidden_first
from portal.delegations import operations, queries
from portal.errors import NotFound
from portal.people.models import LONGEST_SCOPE, Delegation, User


def _require_there(request: HttpRequest, values: Mapping[str, Any]) -> None:
    if "pk" in values and not queries.visible_to(_user(actor_of(request))).filter(pk=values["pk"]).exists():
        raise NotFound


router = Router(tags=["people"], by_alias=True)
router.add_decorator(hidden_first(_require_there), mode="view")


class NewDelegation(Body):
    """Who decides for whom, in what and until when; without a start it begins at once."""

    giver: str = Field(alias="from", max_length=150)
    taker: str = Field(alias="to", max_length=150)
    role: str = Field(max_length=20, examples=["team_lead"])
    scope: str = Field(max_length=LONGEST_SCOPE, examples=["team:commerce"])
    starts: Moment | None = None
    ends: Moment


class DelegationShape(Schema):
    """A delegation, and how it stands now."""

    id: int
    giver: str = Field(serialization_alias="from")
    taker: str = Field(serialization_alias="to")
    role: str
    scope: str
    starts: datetime
    ends: datetime
    state: str = Field(description="planned, current, over (by its date) or ended (early)")
    made_by: str | None
    made_at: datetime
    ended_by: str | None
    ended_at: datetime | None


class DelegationsQuery(PageQuery):
    """Which delegations."""

    open: bool | None = Field(None, description="true: those in force or still to come")


@router.get("/delegations", response=Paged[DelegationShape])
def list_delegations(request: HttpRequest, query: Query[DelegationsQuery]) -> dict[str, Any]:
    """What I gave and was given, the newest first; for administrators and auditors everybody's."""
    rows = queries.visible_to(_user(actor_of(request)))
    if query.open is not None:
        unfinished = queries.not_over(rows)
        rows = unfinished if query.open else rows.exclude(pk__in=unfinished.values("pk"))
    now = clock.now()
    return paging.answer(paging.page(rows, query=query), lambda row: _shape(row, now=now))


@router.post("/delegations", response={201: DelegationShape})
def give_delegation(request: HttpRequest, body: NewDelegation) -> Status[Any]:
    """Let somebody decide for me, or for somebody who is away."""
    given = operations.give_delegation(
        giver=body.giver,
        taker=body.taker,
        role=body.role,
        scope=body.scope,
        starts_at=body.starts,
        ends_at=body.ends,
        actor=actor_of(request),
    )
    return Status(201, _shape(given, now=clock.now()))


@router.delete("/delegations/{int:pk}", response=DelegationShape)
def end_delegation(request: HttpRequest, pk: int) -> dict[str, Any]:
    """End a delegation before its time."""
    return _shape(operations.end_delegation(pk, actor=actor_of(request)), now=clock.now())


def _shape(row: Delegation, *, now: datetime) -> dict[str, Any]:
    return {
        "id": row.pk,
        "giver": row.giver.username,
        "taker": row.taker.username,
        "role": row.role,
        "scope": row.scope,
        "starts": row.starts_at,
        "ends": row.ends_at,
        "state": queries.state_of(row, now=now),
        "made_by": row.made_by.username if row.made_by else None,
        "made_at": row.made_at,
        "ended_by": row.ended_by.username if row.ended_by else None,
        "ended_at": row.ended_at,
    }


def _user(actor: Actor) -> User:
    assert actor.user is not None
    return actor.user
