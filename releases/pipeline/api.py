"""The door for signed events, and what became of them."""

from datetime import datetime
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from ninja import Field, P, PathEx, Query, Router, Schema, Status

from portal import access
from portal.api import paging
from portal.api.auth import actor_of
from portal.api.problems import Refused, Unauthenticated
from portal.api.schemas import Paged
from portal.api.strict import raw_body
from portal.errors import PermanentError
from portal.integrations.hooks.signatures import BAD_SIGNATURE
from portal.people.doors import address_of
from portal.people.models import User
from releases.catalog.models import Environment
from releases.pipeline.models import Arrival
from releases.pipeline.operations import receive

router = Router(tags=["pipeline"], by_alias=True)
# From one address; a signature costs little, keeping count costs less than many of them.
MOST_A_MINUTE = 120


class ReceivedShape(Schema):
    """An event that was taken in."""

    delivery: int
    arrivals: int = Field(description="in how many environments it starts something")


class ArrivalShape(Schema):
    """What became of an event in an environment."""

    id: int
    delivery: int
    connection: str
    environment: str
    repository: str
    ref: str
    commit: str
    by: str
    state: str = Field(description="waiting, started, queued, scheduled, submitted, replaced or refused")
    reason: str
    release: int | None
    received_at: datetime
    ended_at: datetime | None


@router.post("/hooks/{connection}", response={200: ReceivedShape, 202: ReceivedShape}, auth=None)
@raw_body
def receive_event(request: HttpRequest, connection: PathEx[str, P(max_length=120)]) -> Status[Any]:
    """Take in a signed event; 200 where this delivery came before."""
    _require_seldom(request)
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        delivery, made = receive(connection, headers, request.body)
    except PermanentError as error:
        if error.code != BAD_SIGNATURE:
            raise
        raise Refused(401, BAD_SIGNATURE, _("The event was refused"), error.detail) from error
    return Status(202 if made else 200, {"delivery": delivery.pk, "arrivals": delivery.arrivals.count()})


@router.get("/arrivals", response=Paged[ArrivalShape])
def list_arrivals(request: HttpRequest, query: Query[paging.PageQuery]) -> dict[str, Any]:
    """What CI events came to, newest first, where I may see the environment."""
    user = actor_of(request).user
    if not isinstance(user, User):
        raise Unauthenticated
    rows = Arrival.objects.filter(environment__in=access.visible(user, Environment))
    rows = rows.select_related("delivery__connection", "environment")
    return paging.answer(paging.page(rows, query=query), arrival_shape)


def arrival_shape(arrival: Arrival) -> dict[str, Any]:
    """One arrival with the event it came by."""
    event = arrival.delivery.event
    return {
        "id": arrival.pk,
        "delivery": arrival.delivery_id,
        "connection": arrival.delivery.connection.name,
        "environment": arrival.environment.name,
        **{key: event.get(key, "") for key in ("repository", "ref", "commit", "by")},
        "state": arrival.state,
        "reason": arrival.said,
        "release": arrival.release_id,
        "received_at": arrival.delivery.received_at,
        "ended_at": arrival.ended_at,
    }


def _require_seldom(request: HttpRequest) -> None:
    key = f"hooks:{address_of(request)}"
    cache.add(key, 0, timeout=60)
    try:
        count = cache.incr(key)
    except ValueError:  # it ran out in between
        return
    if count > MOST_A_MINUTE:
        raise Refused(429, "too_often", _("Too many requests"), _("Wait a minute, then try again."))
