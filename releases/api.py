"""Routes of releases and of the inbox; every write is one operation."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status

from approvals.models import Decision
from portal import access
from portal.actors import Actor
from portal.api import paging
from portal.api.auth import actor_of
from portal.api.matching import expected_digest
from portal.api.schemas import Paged
from portal.api.strict import hidden_first
from portal.people.models import User
from releases import gates, operations, queries, stations
from releases.api_inputs import (
    AnswerInput,
    CarryInput,
    CheckInput,
    DecisionInput,
    IgnoreInput,
    NewRelease,
    Reason,
    ReleaseChange,
    ReleasesQuery,
    ScheduleInput,
)
from releases.api_shapes import (
    CheckShape,
    DecisionShape,
    GateShape,
    ReleaseRow,
    ReleaseShape,
    StationShape,
    WaitingShape,
    check_shape,
    decision_shape,
    gate_shape,
    other_waiting_shape,
    proposal_waiting_shape,
    release_row,
    release_shape,
    station_shape,
    waiting_shape,
)
from releases.attachment import attachment
from releases.catalog.models import Environment
from releases.catalog.policies.queries import waiting_for as proposals_waiting_for
from releases.inbox import inbox, others
from releases.models import Release

DECIDING_KINDS = frozenset({"trouble", "decision"})


def _require_there(request: HttpRequest, values: Mapping[str, Any]) -> None:
    if "number" in values:
        access.get_or_404(_user(actor_of(request)), Release, number=values["number"])


router = Router(tags=["releases"], by_alias=True)
router.add_decorator(hidden_first(_require_there), mode="view")


@router.get("/inbox", response=Paged[WaitingShape])
def read_inbox(request: HttpRequest) -> dict[str, Any]:
    """What waits for me, worst first; changes of the policy and findings stand with the decisions."""
    user = _user(actor_of(request))
    rows = inbox(user)
    first = [row for row in rows if row.kind in DECIDING_KINDS]
    return paging.whole(
        [
            *map(other_waiting_shape, others(user, "incident")),
            *map(waiting_shape, first),
            *map(proposal_waiting_shape, proposals_waiting_for(user)),
            *map(other_waiting_shape, others(user, "finding")),
            *(waiting_shape(row) for row in rows if row.kind not in DECIDING_KINDS),
        ]
    )


@router.get("/releases", response=Paged[ReleaseRow])
def list_releases(request: HttpRequest, query: Query[ReleasesQuery]) -> dict[str, Any]:
    """Releases I may see, newest first."""
    rows = _filtered(queries.releases_for(_user(actor_of(request))), query)
    return paging.answer(paging.page(rows, query=query, key="number"), release_row)


@router.post("/releases", response={201: ReleaseShape})
def create_release(request: HttpRequest, body: NewRelease) -> Status[Any]:
    """Compose a draft."""
    actor = actor_of(request)
    release = operations.create_release(body.model_dump(exclude_unset=True), actor=actor)
    return Status(201, _detail(actor, release.number))


@router.get("/releases/{int:number}", response=ReleaseShape)
def read_release(request: HttpRequest, number: int) -> dict[str, Any]:
    """One release in full."""
    return _detail(actor_of(request), number)


@router.patch("/releases/{int:number}", response=ReleaseShape)
def edit_release(request: HttpRequest, number: int, body: ReleaseChange) -> dict[str, Any]:
    """Change what is named; `If-Match` carries the content digest the edit began from."""
    actor = actor_of(request)
    _require_visible(actor, number)
    seen = expected_digest(request)
    operations.edit_release(number, body.model_dump(exclude_unset=True), actor=actor, if_match=seen)
    return _detail(actor, number)


@router.post("/releases/{int:number}/submit", response=ReleaseShape)
def submit_release(request: HttpRequest, number: int) -> dict[str, Any]:
    """Seal the content and ask for its approvals."""
    actor = actor_of(request)
    operations.submit_release(number, actor=actor)
    return _detail(actor, number)


@router.post("/releases/{int:number}/withdraw", response=ReleaseShape)
def withdraw_release(request: HttpRequest, number: int, body: Reason | None = None) -> dict[str, Any]:
    """End a release that has not started."""
    actor = actor_of(request)
    operations.withdraw_release(number, actor=actor, reason=body.reason if body else "")
    return _detail(actor, number)


@router.post("/releases/{int:number}/duplicate", response={201: ReleaseShape})
def duplicate_release(request: HttpRequest, number: int) -> Status[Any]:
    """Make a new draft with the same content."""
    actor = actor_of(request)
    release = operations.duplicate_release(number, actor=actor)
    return Status(201, _detail(actor, release.number))


@router.post("/releases/{int:number}/carry", response={201: ReleaseShape})
def carry_release(request: HttpRequest, number: int, body: CarryInput) -> Status[Any]:
    """Make a draft for the environment that follows, with the very same images."""
    actor = actor_of(request)
    release = operations.carry_release(number, body.environment, actor=actor)
    return Status(201, _detail(actor, release.number))


@router.get("/releases/{int:number}/row", response=Paged[StationShape])
def read_row(request: HttpRequest, number: int) -> dict[str, Any]:
    """The environments in a row, and which of them run the release's images; empty where it stands alone."""
    user = _user(actor_of(request))
    release = access.get_or_404(user, Release, number=number)
    found = stations.of(release, access.visible(user, Environment))
    return paging.whole([station_shape(station) for station in found])


@router.post("/releases/{int:number}/schedule", response=ReleaseShape)
def schedule_release(request: HttpRequest, number: int, body: ScheduleInput) -> dict[str, Any]:
    """Let it start by itself at a time, or in the next opening."""
    actor = actor_of(request)
    operations.schedule_release(number, actor=actor, at=body.at, window=body.window)
    return _detail(actor, number)


@router.delete("/releases/{int:number}/schedule", response=ReleaseShape)
def unschedule_release(request: HttpRequest, number: int, body: Reason | None = None) -> dict[str, Any]:
    """Take it out of the schedule; it stays approved."""
    actor = actor_of(request)
    operations.unschedule_release(number, actor=actor, reason=body.reason if body else "")
    return _detail(actor, number)


@router.post("/releases/{int:number}/announce", response=ReleaseShape)
def announce_release(request: HttpRequest, number: int) -> dict[str, Any]:
    """Post the announcement."""
    actor = actor_of(request)
    operations.announce_release(number, actor=actor)
    return _detail(actor, number)


@router.post("/releases/{int:number}/close", response=ReleaseShape)
def close_release(request: HttpRequest, number: int) -> dict[str, Any]:
    """Close a release that is announced, failed, or reviewed after the fact."""
    actor = actor_of(request)
    operations.close_release(number, actor=actor)
    return _detail(actor, number)


@router.post("/releases/{int:number}/decisions", response={201: DecisionShape})
def decide_release(request: HttpRequest, number: int, body: DecisionInput) -> Status[Any]:
    """Decide on exactly the content whose digest is sent."""
    decision = operations.decide_release(number, actor=actor_of(request), **body.model_dump())
    return Status(201, _decision(decision, number))


@router.delete("/releases/{int:number}/decisions/{int:decision_id}", response=DecisionShape)
def take_back_decision(request: HttpRequest, number: int, decision_id: int) -> dict[str, Any]:
    """Take one's own decision back."""
    decision = operations.take_back_decision(number, decision_id, actor=actor_of(request))
    return _decision(decision, number)


@router.post("/releases/{int:number}/decisions/{int:decision_id}/answer", response=DecisionShape)
def answer_objection(
    request: HttpRequest, number: int, decision_id: int, body: AnswerInput
) -> dict[str, Any]:
    """Answer an objection in words."""
    actor = actor_of(request)
    decision = operations.answer_objection(number, decision_id, actor=actor, answer=body.answer)
    return _decision(decision, number)


@router.get("/releases/{int:number}/checklist", response=Paged[CheckShape])
def read_checklist(request: HttpRequest, number: int) -> dict[str, Any]:
    """The items of the checklist, by phase."""
    release = queries.detail(_user(actor_of(request)), number)
    return paging.whole(check_shape(check) for check in queries.checks_of(release))


@router.post("/releases/{int:number}/checklist/{int:check_id}", response=CheckShape)
def answer_check(request: HttpRequest, number: int, check_id: int, body: CheckInput) -> dict[str, Any]:
    """Answer one item."""
    check = operations.answer_check(number, check_id, actor=actor_of(request), **body.model_dump())
    return check_shape(check)


@router.get("/releases/{int:number}/gates", response=Paged[GateShape])
def read_gates(request: HttpRequest, number: int) -> dict[str, Any]:
    """What is measured while the sign-off is awaited."""
    release = queries.detail(_user(actor_of(request)), number)
    return paging.whole(gate_shape(view) for view in gates.gates_of(release))


@router.post("/releases/{int:number}/gates/{int:gate_id}/ignore", response=GateShape)
def ignore_breach(request: HttpRequest, number: int, gate_id: int, body: IgnoreInput) -> dict[str, Any]:
    """Let one breach pass, as somebody who could sign the result off."""
    actor = actor_of(request)
    operations.ignore_breach(number, gate_id, actor=actor, **body.model_dump())
    release = queries.detail(_user(actor), number)
    return next(gate_shape(view) for view in gates.gates_of(release) if view.gate.pk == gate_id)


@router.get("/releases/{int:number}/evidence/{digest}")
def read_evidence(request: HttpRequest, number: int, digest: str) -> HttpResponse:
    """A file that was given as evidence in this release."""
    return attachment(queries.answer_with_file(_user(actor_of(request)), number, digest))


def _user(actor: Actor) -> User:
    assert actor.user is not None
    return actor.user


def _require_visible(actor: Actor, number: int) -> None:
    access.get_or_404(_user(actor), Release, number=number)


def _detail(actor: Actor, number: int) -> dict[str, Any]:
    return release_shape(queries.detail(_user(actor), number))


def _decision(decision: Decision, number: int) -> dict[str, Any]:
    state = Release.objects.values_list("state", flat=True).get(number=number)
    return decision_shape(decision, state=state)


def _filtered(rows: QuerySet[Release], query: ReleasesQuery) -> QuerySet[Release]:
    if query.state:
        rows = rows.filter(state__in=query.state.split(","))
    if query.grade:
        rows = rows.filter(grade__in=query.grade.split(","))
    if query.environment:
        rows = rows.filter(environment__name=query.environment)
    if query.author:
        rows = rows.filter(author__username=query.author)
    if query.service:
        rows = rows.filter(items__service__name=query.service)
    if query.q:
        rows = rows.filter(queries.found_by(query.q))
    return rows
