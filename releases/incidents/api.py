"""API v1: incidents, and what people do about them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from portal.api import paging
from portal.api.auth import actor_of, scope
from portal.api.schemas import Body, Moment, Paged
from portal.api.strict import hidden_first
from portal.errors import NotFound
from portal.people.models import User
from releases.incidents import operations, queries

LONGEST_NAME = 120


def _require_there(request: HttpRequest, values: Mapping[str, Any]) -> None:
    if "incident" in values:
        operations.find(values["incident"], actor=actor_of(request))


router = Router(tags=["incidents"])
router.add_decorator(hidden_first(_require_there), mode="view")


class IncidentShape(Schema):
    """A service in trouble; `link` is what an emergency release names as its incident."""

    number: int
    service: str
    environment: str
    team: str
    title: str
    state: str = Field(description="ongoing or closed")
    began_at: datetime
    opened_at: datetime
    opened_by: str | None
    closed_at: datetime | None
    closed_by: str | None
    cause: str
    link: str


class RecoveryClockShape(Schema):
    """The time since it began, until it was closed, beside the aim; null where the catalog has none."""

    seconds: int
    aim_seconds: int | None
    usual_seconds: int | None = Field(description="in the middle of the recoveries of the last year")
    missed: bool


class WentOutShape(Schema):
    """A rollout of the service, or of one beside it, from two hours before the trouble began."""

    rollout: int
    release: int
    services: list[str]
    state: str
    started_at: datetime | None
    own: bool = Field(description="whether the service itself is among them")
    before: bool = Field(description="whether it began before the trouble did")


class HappenedShape(Schema):
    """One line of the timeline."""

    at: datetime
    what: str = Field(
        description=(
            "began, opened, note, told, linked, unlinked, corrected, drafted, started, failed, ended "
            "or closed"
        )
    )
    by: str | None
    text: str
    told: int = Field(description="how many people a notice went to")
    release: int | None
    rollout: int | None


class FullIncidentShape(IncidentShape):
    """An incident with its clock, what went out, and its timeline, the newest first.

    `mark` names what can be corrected of it, as it is now.
    """

    mark: str
    recovery: RecoveryClockShape
    releases: list[int] = Field(description="linked with it, or of its system and naming it")
    went_out: list[WentOutShape]
    timeline: list[HappenedShape]


class IncidentsQuery(paging.PageQuery):
    """Which incidents."""

    state: Literal["ongoing", "closed", "all"] = "ongoing"
    environment: str = Field("", max_length=LONGEST_NAME)
    service: str = Field("", max_length=LONGEST_NAME)


class OpenInput(Body):
    """Where; the rest is said from what is seen."""

    service: str = Field(max_length=LONGEST_NAME)
    environment: str = Field(max_length=LONGEST_NAME)
    title: str = Field("", max_length=operations.LONGEST_TITLE)
    began_at: Moment | None = Field(None, description="since when; now without it")
    rollout: int | None = Field(None, description="the failed rollout it is opened from")


class WordsInput(Body):
    """What to write."""

    text: str = Field(max_length=operations.LONGEST_WORDS)


class LinkInput(Body):
    """Which release."""

    release: int


class CorrectInput(Body):
    """What to correct; what is left out stays."""

    mark: str = Field(max_length=64, description="of the incident as it was read")
    title: str | None = Field(None, max_length=operations.LONGEST_TITLE)
    began_at: Moment | None = Field(None, description="since when it is in trouble")


class CauseInput(Body):
    """What it was."""

    cause: str = Field(max_length=operations.LONGEST_WORDS)


@router.get("/incidents", response=Paged[IncidentShape])
def list_incidents(request: HttpRequest, query: Query[IncidentsQuery]) -> dict[str, Any]:
    """Incidents, the newest first."""
    scope(request, "read")
    view = "" if query.state == "ongoing" else query.state
    found = queries.visible_incidents(
        _user(request), view=view, environment=query.environment, service=query.service
    )
    return paging.answer(paging.page(found, query=query, key="number"), queries.shape)


@router.get("/incidents/{int:incident}", response=FullIncidentShape)
def read_incident(request: HttpRequest, incident: int) -> dict[str, Any]:
    """One incident with its clock, what went out, and its timeline."""
    scope(request, "read")
    return _shape(request, incident)


@router.post("/incidents", response={200: FullIncidentShape, 201: FullIncidentShape})
def open_incident(request: HttpRequest, body: OpenInput) -> Status[dict[str, Any]]:
    """Open an incident; 200 with the one that is open there already."""
    found, is_new = operations.open_incident(**body.model_dump(), actor=actor_of(request))
    return Status(201 if is_new else 200, _shape(request, found.number))


@router.post("/incidents/{int:incident}/notes", response={201: FullIncidentShape})
def note(request: HttpRequest, incident: int, body: WordsInput) -> Status[dict[str, Any]]:
    """Write down what was seen or done."""
    operations.note(incident, actor=actor_of(request), text=body.text)
    return Status(201, _shape(request, incident))


@router.post("/incidents/{int:incident}/notices", response={201: FullIncidentShape})
def tell_team(request: HttpRequest, incident: int, body: WordsInput) -> Status[dict[str, Any]]:
    """Tell everybody with a role in the service or its team, and those in charge of it in the environment."""
    operations.tell_team(incident, actor=actor_of(request), text=body.text)
    return Status(201, _shape(request, incident))


@router.post("/incidents/{int:incident}/releases", response={201: FullIncidentShape})
def link_release(request: HttpRequest, incident: int, body: LinkInput) -> Status[dict[str, Any]]:
    """Say that a release belongs to the incident."""
    operations.link_release(incident, body.release, actor=actor_of(request))
    return Status(201, _shape(request, incident))


@router.delete("/incidents/{int:incident}/releases/{int:release}", response=FullIncidentShape)
def unlink_release(request: HttpRequest, incident: int, release: int) -> dict[str, Any]:
    """Take a mistaken link back, of a closed incident as well."""
    operations.unlink_release(incident, release, actor=actor_of(request))
    return _shape(request, incident)


@router.patch("/incidents/{int:incident}", response=FullIncidentShape)
def correct(request: HttpRequest, incident: int, body: CorrectInput) -> dict[str, Any]:
    """Correct its title, and since when the trouble lasts, of a closed incident as well."""
    operations.correct_incident(incident, actor=actor_of(request), **body.model_dump())
    return _shape(request, incident)


@router.post("/incidents/{int:incident}/close", response=FullIncidentShape)
def close(request: HttpRequest, incident: int, body: CauseInput) -> dict[str, Any]:
    """End it with its cause."""
    operations.close_incident(incident, actor=actor_of(request), cause=body.cause)
    return _shape(request, incident)


def _shape(request: HttpRequest, number: int) -> dict[str, Any]:
    return queries.full_shape(operations.find(number, actor=actor_of(request)), actor_of(request).user)


def _user(request: HttpRequest) -> User:
    user = actor_of(request).user
    if user is None:
        raise NotFound
    return user
