"""Routes of rollouts, of the start and dry run of a release, and of the board."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Status

from portal import access
from portal.api import paging
from portal.api.auth import actor_of, scope
from portal.api.schemas import Paged
from portal.api.strict import hidden_first
from portal.errors import NotFound
from portal.people.models import User
from releases import queries as release_queries
from releases.catalog.models import Environment, Service
from releases.models import Release
from releases.operations import sign_off_result
from releases.rollouts import line, operations, pins, plans, proof, proof_entries, queries, queueing, texts
from releases.rollouts.api_shapes import (
    AskedShape,
    CellShape,
    EventsQuery,
    EventsShape,
    PinShape,
    PlanShape,
    ProofShape,
    QueuedShape,
    ReasonInput,
    RetryInput,
    RolloutShape,
    SignoffInput,
    StartInput,
    StepShape,
)
from releases.rollouts.models import Order, Pin, QueuePlace, Rollout
from releases.rollouts.states import OrderKind


def _require_there(request: HttpRequest, values: Mapping[str, Any]) -> None:
    if "pk" in values:
        queries.visible_rollout(_user(request), values["pk"])
    if "number" in values:
        access.get_or_404(_user(request), Release, number=values["number"])
    if "place" in values:
        access.get_or_404(_user(request), QueuePlace, pk=values["place"])
    if "pin" in values:
        access.get_or_404(_user(request), Pin, pk=values["pin"])


router = Router(tags=["rollouts"])
router.add_decorator(hidden_first(_require_there), mode="view")


@router.post("/releases/{int:number}/start", response={201: RolloutShape, 202: QueuedShape})
def start_rollout(
    request: HttpRequest, number: int, body: StartInput | None = None
) -> Status[dict[str, Any]]:
    """Start the rollout, or wait for its turn (202); a conflict names everything that is missing."""
    confirmed = body.confirm if body else ""
    begun = queueing.ask_start(number, actor=actor_of(request), confirmed=confirmed)
    if isinstance(begun, QueuePlace):
        return Status(202, _place(line.stand_of(begun.release)))
    return Status(201, queries.rollout_shape(queries.visible_rollout(_user(request), begun.pk)))


@router.get("/queue", response=Paged[QueuedShape])
def list_queue(request: HttpRequest) -> dict[str, Any]:
    """Which starts wait for their turn, each environment's in their order."""
    scope(request, "read")
    stands = [each for env in line.queued_environments(_user(request)) for each in line.stands_in(env)]
    return paging.whole(map(_place, stands))


@router.delete("/queue/{int:place}", response={204: None})
def leave_queue(request: HttpRequest, place: int) -> Status[None]:
    """Take a start out of the queue; its release stays approved."""
    queueing.leave(place, actor=actor_of(request))
    return Status(204, None)


@router.get("/pins", response=Paged[PinShape])
def list_pins(request: HttpRequest, environment: str = "") -> dict[str, Any]:
    """Services that nothing starts by itself since a rollback."""
    scope(request, "read")
    found = pins.visible_pins(_user(request))
    return paging.whole(_pin(each) for each in found if environment in {"", each.environment.name})


@router.post("/pins/{int:pin}/lift", response=PinShape)
def lift_pin(request: HttpRequest, pin: int, body: ReasonInput) -> dict[str, Any]:
    """Let automation roll a service forward again."""
    return _pin(pins.lift_pin(pin, actor=actor_of(request), reason=body.reason))


@router.get("/releases/{int:number}/plan", response=PlanShape)
def read_plan(request: HttpRequest, number: int) -> dict[str, Any]:
    """The dry run: every step and what it would change."""
    scope(request, "read")
    release = access.get_or_404(_user(request), Release, number=number)
    preview = plans.preview_for(_user(request), release)
    return {
        "items": [_planned(step) for step in preview.steps],
        "next": None,
        "expected_seconds": preview.expected_seconds,
        "cluster_error": preview.cluster_error or None,
    }


@router.get("/rollouts/{int:pk}", response=RolloutShape)
def read_rollout(request: HttpRequest, pk: int) -> dict[str, Any]:
    """One rollout."""
    return queries.rollout_shape(_visible(request, pk))


@router.get("/rollouts/{int:pk}/steps", response=Paged[StepShape])
def list_steps(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Every step, in their order."""
    return paging.whole(queries.step_shape(step) for step in queries.steps_of(_visible(request, pk)))


@router.get("/rollouts/{int:pk}/events", response=EventsShape)
def list_events(request: HttpRequest, pk: int, query: Query[EventsQuery]) -> dict[str, Any]:
    """What happened behind a number, in order."""
    found, last = queries.events_after(_visible(request, pk), after=query.after, limit=query.limit)
    return {"events": [queries.event_shape(event) for event in found], "last": last}


@router.post("/rollouts/{int:pk}/signoff", response={201: RolloutShape})
def sign_off(request: HttpRequest, pk: int, body: SignoffInput) -> Status[dict[str, Any]]:
    """Sign off the result, or reject it."""
    rollout = _visible(request, pk)
    sign_off_result(rollout.release_id, actor=actor_of(request), **body.model_dump())
    return Status(201, queries.rollout_shape(_visible(request, pk)))


@router.post("/rollouts/{int:pk}/steps/{int:step}/retry", response={202: AskedShape}, exclude_unset=True)
def retry_step(
    request: HttpRequest, pk: int, step: int, body: RetryInput | None = None
) -> Status[dict[str, Any]]:
    """Ask for another attempt of a step; to restore a database again takes that right, and its name."""
    confirmed = body.confirm if body else ""
    return _ask(request, pk, OrderKind.RETRY, body, step=step, confirmed=confirmed)


@router.post("/rollouts/{int:pk}/steps/{int:step}/skip", response={202: AskedShape}, exclude_unset=True)
def skip_step(
    request: HttpRequest, pk: int, step: int, body: ReasonInput | None = None
) -> Status[dict[str, Any]]:
    """Ask to go on without a step, and say why."""
    return _ask(request, pk, OrderKind.SKIP, body, step=step)


@router.post("/rollouts/{int:pk}/pause", response={202: AskedShape}, exclude_unset=True)
def pause(request: HttpRequest, pk: int, body: ReasonInput | None = None) -> Status[dict[str, Any]]:
    """Ask that nothing new begins."""
    return _ask(request, pk, OrderKind.PAUSE, body)


@router.post("/rollouts/{int:pk}/resume", response={202: AskedShape}, exclude_unset=True)
def resume(request: HttpRequest, pk: int, body: ReasonInput | None = None) -> Status[dict[str, Any]]:
    """Ask to go on."""
    return _ask(request, pk, OrderKind.RESUME, body)


@router.post("/rollouts/{int:pk}/stop", response={202: AskedShape}, exclude_unset=True)
def stop(request: HttpRequest, pk: int, body: ReasonInput | None = None) -> Status[dict[str, Any]]:
    """Ask to end here: one call ends, nothing else begins."""
    return _ask(request, pk, OrderKind.STOP, body)


@router.post("/rollouts/{int:pk}/rollback", response={202: AskedShape}, exclude_unset=True)
def roll_back(request: HttpRequest, pk: int, body: ReasonInput | None = None) -> Status[dict[str, Any]]:
    """Ask to go back to what ran before."""
    return _ask(request, pk, OrderKind.ROLLBACK, body)


@router.get("/board", response=Paged[CellShape])
def read_board(request: HttpRequest, environment: str = "") -> dict[str, Any]:
    """What runs where, what waits, and what nobody released."""
    scope(request, "read")
    user = _user(request)
    chosen = [access.get_or_404(user, Environment, name=environment)] if environment else None
    return paging.whole(_cell(cell) for cell in queries.board(user, environments=chosen))


def _ask(
    request: HttpRequest,
    pk: int,
    kind: str,
    body: ReasonInput | None,
    *,
    step: int | None = None,
    confirmed: str = "",
) -> Status[dict[str, Any]]:
    reason, actor = body.reason if body else "", actor_of(request)
    order: Order = operations.give_order(
        pk, kind, actor=actor, reason=reason, step_id=step, confirmed=confirmed
    )
    return Status(202, queries.asked_shape(order))


@router.get("/releases/{int:number}/proof", response=ProofShape)
def read_proof(request: HttpRequest, number: int) -> dict[str, Any]:
    """Who approved it, of what exactly, and whether exactly that ran, with the entries that prove it."""
    scope(request, "read")
    user = _user(request)
    release = release_queries.detail(user, number)
    return proof.proof_of(release, proof_entries.Entries(release), whole=proof.may_take(user, release))


def _visible(request: HttpRequest, pk: int) -> Rollout:
    scope(request, "read")
    return queries.visible_rollout(_user(request), pk)


def _user(request: HttpRequest) -> User:
    user = actor_of(request).user
    if user is None:
        raise NotFound
    return user


def _planned(step: plans.PlannedStep) -> dict[str, Any]:
    return {
        "key": step.key,
        "kind": step.kind,
        "title": step.title,
        "service": step.service or None,
        "wave": step.wave,
        "wave_title": step.wave_title,
        "depends_on": list(step.depends_on),
        "plan": step.text,
        "changes": list(step.changes),
        "error": step.error or None,
        "notes": list(step.notes),
    }


def _place(stand: line.Stand) -> dict[str, Any]:
    place = stand.place
    assert place is not None
    return {
        "id": place.pk,
        "release": stand.release,
        "environment": stand.environment,
        "state": place.state,
        "place": stand.number,
        "waits_for": str(stand.text),
        "rollouts": [each.pk for each in (*stand.behind, *stand.unsettled)],
        "asked_by": place.asked_by.username if place.asked_by else None,
        "asked_at": place.asked_at,
    }


def _pin(pin: Pin) -> dict[str, Any]:
    return {
        "id": pin.pk,
        "service": pin.service.name,
        "environment": pin.environment.name,
        "release": pin.rollout.release_id,
        "set_at": pin.set_at,
        "lifted_at": pin.lifted_at,
        "reason": texts.own_reason(pin.lift_reason),
    }


def _cell(cell: queries.BoardCell) -> dict[str, Any]:
    assert isinstance(cell.service, Service)  # as `queries.board` reads it
    return {
        "service": cell.service.name,
        "environment": cell.environment.name,
        "team": cell.service.team.key,
        "version": cell.version,
        "health": cell.health,
        "text": cell.text,
        "ready": cell.ready,
        "wanted": cell.wanted,
        "images": cell.images,
        "drift": cell.drift,
        "finding": cell.finding.pk if cell.finding else None,
        "pinned": cell.pinned,
        "pending": [release.number for release in cell.pending],
        "rollout": cell.rollout.pk if cell.rollout else None,
        "release": cell.release,
        "seen_at": cell.seen_at,
    }
