"""API v1: unapproved changes, and what people do about them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from portal import access
from portal.api import paging
from portal.api.auth import actor_of, scope
from portal.api.schemas import Body, Paged
from portal.api.strict import hidden_first
from portal.errors import NotFound
from portal.people.models import User
from releases.rollouts.findings import operations, queries
from releases.rollouts.models import Finding


def _require_there(request: HttpRequest, values: Mapping[str, Any]) -> None:
    if "pk" in values:
        access.get_or_404(_user(request), Finding, pk=values["pk"])


router = Router(tags=["findings"])
router.add_decorator(hidden_first(_require_there), mode="view")


class DifferenceShape(Schema):
    """One thing that is not as approved; `manager` and `at` are the cluster's own account of who wrote it."""

    code: str
    object: str
    field: str
    expected: str
    found: str
    manager: str
    at: datetime | None
    text: str


class FindingShape(Schema):
    """An unapproved change; `mark` names exactly these differences when it is settled."""

    id: int
    service: str
    environment: str
    team: str
    state: str
    differences: list[DifferenceShape]
    mark: str
    opened_at: datetime
    changed_at: datetime
    ended_at: datetime | None
    settled_at: datetime | None
    settled_by: str | None
    reason: str
    put_back_by: int | None


class PutBackShape(Schema):
    """The draft that was made."""

    release: int


class FindingsQuery(paging.PageQuery):
    """Which findings: those that stand, those that ask for a decision, those that are over, or all."""

    state: Literal["standing", "open", "over", "all"] = "standing"
    environment: str = Field("", max_length=120)
    service: str = Field("", max_length=120)


class SettleInput(Body):
    """Why, and of which differences."""

    reason: str = Field("", max_length=operations.LONGEST_REASON)
    mark: str = Field(max_length=64)


@router.get("/findings", response=Paged[FindingShape])
def list_findings(request: HttpRequest, query: Query[FindingsQuery]) -> dict[str, Any]:
    """Unapproved changes, the newest first."""
    scope(request, "read")
    view = "" if query.state == "standing" else query.state
    found = queries.visible_findings(
        _user(request), view=view, environment=query.environment, service=query.service
    )
    return paging.answer(paging.page(found, query=query), queries.shape)


@router.get("/findings/{int:pk}", response=FindingShape)
def read_finding(request: HttpRequest, pk: int) -> dict[str, Any]:
    """One unapproved change."""
    scope(request, "read")
    return _shape(request, pk)


@router.post("/findings/{int:pk}/adopt", response=FindingShape)
def adopt(request: HttpRequest, pk: int, body: SettleInput) -> dict[str, Any]:
    """Let what runs be what should run."""
    operations.adopt(pk, actor=actor_of(request), reason=body.reason, mark=body.mark)
    return _shape(request, pk)


@router.post("/findings/{int:pk}/explain", response=FindingShape)
def explain(request: HttpRequest, pk: int, body: SettleInput) -> dict[str, Any]:
    """Say why something else runs for now."""
    operations.explain(pk, actor=actor_of(request), reason=body.reason, mark=body.mark)
    return _shape(request, pk)


@router.post("/findings/{int:pk}/put-back", response={201: PutBackShape})
def put_back(request: HttpRequest, pk: int) -> Status[dict[str, Any]]:
    """Compose a draft that returns the service to what was approved."""
    release = operations.put_back(pk, actor=actor_of(request))
    return Status(201, {"release": release.number})


def _shape(request: HttpRequest, pk: int) -> dict[str, Any]:
    return queries.shape(operations.find(pk, actor=actor_of(request)))


def _user(request: HttpRequest) -> User:
    user = actor_of(request).user
    if user is None:
        raise NotFound
    return user
