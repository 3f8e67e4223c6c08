"""What the API's routes of rollouts take and answer."""

from datetime import datetime
from typing import Any

from ninja import Field, Schema

from portal.api.schemas import Body
from releases.rollouts import queries


class ProgressShape(Schema):
    """How many steps are done."""

    done: int
    total: int


class ReachedShape(Schema):
    """A workload in the cluster to which an order went.

    Its state: reached, unneeded or unreached, goes_on where its kind cannot be held, or on its way.
    """

    service: str = Field(description="its name; what was reached before this was promised may have its title")
    kind: str = "Rollout"
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


class RepeatedShape(Schema):
    """An earlier order of the same kind, which a person gave."""

    order: int
    by: str
    asked_at: datetime
    text: str


class AskedShape(Schema):
    """An order that was written down."""

    id: int
    kind: str
    asked_at: datetime
    repeats: RepeatedShape | None = Field(
        None,
        description="There where a person had asked for it before: it waits, or it is so already. "
        "The outcome of such an order is `already`, with that order's number.",
    )


class PauseShape(Schema):
    """Why a rollout waits, which rights lift it, one after the other, and who has them, in words."""

    reason: str
    text: str
    help: str
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
    stands: str = Field(
        description="Why it stands failed although its plan rolls back by itself, and what to do; else empty."
    )
    eta: datetime | None = Field(
        description="When it should be over, by the median of what the plan's last ten rollouts there took. "
        "It has passed where the rollout is late; null where it stands, and where fewer than three tell it."
    )
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


class RetryInput(ReasonInput):
    """What a retry takes where it can't be undone."""

    confirm: str = Field("", description="the service's name, where the step restores its database")


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
