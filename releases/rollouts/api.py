"""Routes of rollouts, of the start and dry run of a release, and of the board."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from portal import access
from portal.api import paging
from portal.api.auth import actor_of, scope
from portal.api.schemas import Body, Paged
from portal.api.strict import hidden_first
from portal.errors import NotFound
from portal.people.models import User
from releases import queries as release_queries
from releases.catalog.models import Environment
from releases.models import Release
from releases.operations import sign_off_result
from releases.rollouts import line, operations, pins, plans, proof, proof_entries, queries, queueing
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


class ProgressShape(Schema):
    """How many steps are done."""

    done: int
    total: int


class ReachedShape(Schema):
    """A canary in the cluster to which an order went: reached, unneeded or unreached, or on its way."""

    service: str
    workload: str
    act: str
    state: str
    message: str


class OrderShape(Schema):
    """Something a person asked, and what became of it."""

    id: int
    kind: str
    step: int | None
    by: str | None
    reason: str
    asked_at: datetime
    honoured_at: datetime | None
    outcome: str
    reached: list[ReachedShape]


class AskedShape(Schema):
    """An order that was written down."""

    id: int
    kind: str
    asked_at: datetime


class PauseShape(Schema):
    """Why a rollout waits, and which right lifts it."""

    reason: str
    text: str
    by: str
    lift: list[str]
    step: int | None = None
    args: dict[str, Any] = {}


class WarningShape(Schema):
    """A clean-up that did not go well; the rollout went on, and the step can be retried."""

    step: int
    key: str
    text: str


class RolloutShape(Schema):
    """A rollout."""

    id: int
    release: int
    environment: str
    state: str
    progress: ProgressShape
    expected_seconds: int
    orders: list[OrderShape]
    pause: PauseShape | None
    eta: datetime | None
    verdict: dict[str, Any] | None
    warnings: list[WarningShape]
    started_by: str | None
    content_digest: str
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class WatchedGateShape(Schema):
    """A gate of a watch: what was seen last, and what was measured so far as [time, value, result]."""

    name: str
    state: str
    text: str
    limit: str
    points: list[tuple[datetime, float | None, str]]


class StepShape(Schema):
    """A step of a rollout; `observed`, `plan` and `failure.text` are in the reader's language."""

    id: int
    key: str
    kind: str
    title: str
    service: str | None
    wave: int
    direction: str
    state: str
    attempt: int
    depends_on: list[int]
    plan: str
    changes: list[dict[str, Any]]
    observed: str
    gates: list[WatchedGateShape]
    failure: dict[str, Any] | None
    history: list[dict[str, Any]]
    reason: str
    started_at: datetime | None
    ended_at: datetime | None
    deadline_at: datetime | None


class EventShape(Schema):
    """One thing that happened; numbers begin at 1 and have no gaps."""

    id: int
    at: datetime
    kind: str
    step: int | None
    text: str
    data: dict[str, Any]


class EventsShape(Schema):
    """Events in their order; `last` is the highest number that exists."""

    events: list[EventShape]
    last: int


class ProvenEntryShape(Schema):
    """An entry; `path` leads to its checkpoint's root, `entry` is null for who may not read the record."""

    number: int
    at: datetime
    action: str
    actor: str
    previous: str
    digest: str
    checkpoint: int | None
    path: list[list[str]]
    entry: dict[str, Any] | None


class ProofShape(Schema):
    """The proof of a release; with whole entries it is what the verifier of an export takes."""

    proof: str
    release: dict[str, Any]
    answer: dict[str, Any]
    content: dict[str, Any]
    content_digest: str
    sealed: bool
    policy_version: int | None
    requirements: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    checks: list[dict[str, Any]]
    ignored_breaches: list[dict[str, Any]]
    rollouts: list[dict[str, Any]]
    announced: dict[str, Any]
    unsigned: int
    removed_up_to: int | None
    entries: list[ProvenEntryShape]
    checkpoints: list[dict[str, Any]]
    keys: list[str]


class PlannedStepShape(Schema):
    """A step of the dry run."""

    key: str
    kind: str
    title: str
    service: str | None
    wave: int
    wave_title: str
    depends_on: list[str]
    plan: str
    changes: list[dict[str, Any]]
    error: str | None
    notes: list[str]


class PlanShape(Schema):
    """The dry run of a release."""

    items: list[PlannedStepShape]
    next: None = None
    expected_seconds: int
    cluster_error: str | None


class CellShape(Schema):
    """One service in one environment."""

    service: str
    environment: str
    team: str
    version: str
    health: str
    text: str
    ready: int
    wanted: int
    images: dict[str, Any]
    drift: dict[str, Any] | None
    finding: int | None
    pinned: bool
    pending: list[int]
    rollout: int | None
    release: int | None
    seen_at: datetime | None


class QueuedShape(Schema):
    """A start that waits for its turn: its number in the line, and for what it waits."""

    id: int
    release: int
    environment: str
    state: str
    place: int
    waits_for: str
    rollouts: list[int]
    asked_by: str | None
    asked_at: datetime


class PinShape(Schema):
    """A service that nothing starts by itself since the rollback of a release."""

    id: int
    service: str
    environment: str
    release: int
    set_at: datetime
    lifted_at: datetime | None
    reason: str


class ReasonInput(Body):
    """Why."""

    reason: str = Field("", max_length=2_000)


class SignoffInput(Body):
    """The superior's verdict on the result."""

    verdict: str = Field(max_length=20)
    reason: str = Field("", max_length=2_000)
    on_behalf_of: str | None = Field(None, alias="for")


class StartInput(Body):
    """What a start takes where it can't be undone."""

    confirm: str = Field("", description="the service's name, where its database is restored")


class EventsQuery(Schema):
    """From where, and how many."""

    after: int = Field(0, ge=0, le=2**62)
    limit: int = Field(queries.MOST_EVENTS, ge=1, le=queries.MOST_EVENTS)


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
    preview = plans.preview(release)
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


@router.post("/rollouts/{int:pk}/steps/{int:step}/retry", response={202: AskedShape})
def retry_step(
    request: HttpRequest, pk: int, step: int, body: ReasonInput | None = None
) -> Status[dict[str, Any]]:
    """Ask for another attempt of a step."""
    return _ask(request, pk, OrderKind.RETRY, body, step=step)


@router.post("/rollouts/{int:pk}/steps/{int:step}/skip", response={202: AskedShape})
def skip_step(
    request: HttpRequest, pk: int, step: int, body: ReasonInput | None = None
) -> Status[dict[str, Any]]:
    """Ask to go on without a step, and say why."""
    return _ask(request, pk, OrderKind.SKIP, body, step=step)


@router.post("/rollouts/{int:pk}/pause", response={202: AskedShape})
def pause(request: HttpRequest, pk: int, body: ReasonInput | None = None) -> Status[dict[str, Any]]:
    """Ask that nothing new begins."""
    return _ask(request, pk, OrderKind.PAUSE, body)


@router.post("/rollouts/{int:pk}/resume", response={202: AskedShape})
def resume(request: HttpRequest, pk: int, body: ReasonInput | None = None) -> Status[dict[str, Any]]:
    """Ask to go on."""
    return _ask(request, pk, OrderKind.RESUME, body)


@router.post("/rollouts/{int:pk}/stop", response={202: AskedShape})
def stop(request: HttpRequest, pk: int, body: ReasonInput | None = None) -> Status[dict[str, Any]]:
    """Ask to end here: one call ends, nothing else begins."""
    return _ask(request, pk, OrderKind.STOP, body)


@router.post("/rollouts/{int:pk}/rollback", response={202: AskedShape})
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
    request: HttpRequest, pk: int, kind: str, body: ReasonInput | None, *, step: int | None = None
) -> Status[dict[str, Any]]:
    reason = body.reason if body else ""
    order: Order = operations.give_order(pk, kind, actor=actor_of(request), reason=reason, step_id=step)
    return Status(202, {"id": order.pk, "kind": order.kind, "asked_at": order.asked_at})


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
        "waits_for": stand.text,
        "rollouts": [each.pk for each in stand.behind],
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
        "reason": pin.lift_reason,
    }


def _cell(cell: queries.BoardCell) -> dict[str, Any]:
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
