"""What the doors show of rollouts: their shape, steps, events, and the board."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, TypedDict

from django.db import connection
from django.db.models import Count, Prefetch, Q, QuerySet

from portal import access
from portal.live.models import Event, Topic
from portal.people.models import User
from portal.sentences import worded_in
from portal.statements import Given, Question
from releases.catalog.models import Environment, Running, Service
from releases.models import Release
from releases.rollouts import by_itself, durations, lifting, repeats, texts, watched
from releases.rollouts.findings.differences import OF_IMAGES, differences, read
from releases.rollouts.findings.wording import in_short
from releases.rollouts.marks import GOING, Key, marks_in
from releases.rollouts.models import Finding, Order, Rollout, Step
from releases.rollouts.states import (
    DONE,
    EXPLAINS,
    LEFT,
    STANDING,
    TROUBLED,
    Direction,
    RolloutState,
    StepState,
)
from releases.rollouts.tables import ACTS_ON_SERVICE, UNDONE_BY
from releases.states import PENDING, SETTLED

Json = dict[str, Any]
MOST_EVENTS = 500
# Steps that only serve others; people are not shown them.
HIDDEN_KINDS = frozenset(
    {"record_running", "record_services", "record_weights", "record_manifests", "find_colours"}
)
# Of many rows: a statement of its own. Times with their zone would take eight calls each to read.
SEEN = """
SELECT service_id, environment_id, seen, expected, release,
       since AT TIME ZONE 'UTC', seen_at AT TIME ZONE 'UTC'
FROM catalog_running WHERE environment_id = ANY(%s) AND service_id = ANY(%s)
"""


class Progress(TypedDict):
    """How many of the steps are done."""

    done: int
    total: int


NO_STEPS: Progress = {"done": 0, "total": 0}


class Seen(NamedTuple):
    """What runs somewhere; a `Running` without what it costs to make one for each cell of a board."""

    seen: Json
    expected: Json
    release: int | None
    since: datetime | None
    seen_at: datetime | None


NOTHING_SEEN = Seen({}, {}, None, None, None)


class Placed(Protocol):
    """A service, as far as its cells say it: a row of the catalog, or what a board reads of one."""

    @property
    def id(self) -> int:
        """Its key."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def scale(self) -> Mapping[str, int] | None:
        """{"min", "max"} pods, where the catalog says so."""


class BoardCell(NamedTuple):
    """One service in one environment: what runs, what waits, what is wrong."""

    service: Placed
    environment: Environment
    running: Seen
    drift: Json | None
    pinned: bool
    pending: tuple[Release, ...]
    rollout: Rollout | None
    finding: Finding | None

    @property
    def version(self) -> str:
        """Which version runs; "" where that is not known."""
        return str(self.running.seen.get("version") or "")

    @property
    def health(self) -> str:
        """How it was seen to be."""
        return str(self.running.seen.get("health") or "unknown")

    @property
    def text(self) -> str:
        """What was seen to be wrong."""
        return str(self.running.seen.get("text") or "")

    @property
    def ready(self) -> int:
        """How many pods are ready."""
        return int(self.running.seen.get("ready") or 0)

    @property
    def wanted(self) -> int:
        """How many pods there should be."""
        return int(self.running.seen.get("wanted") or 0)

    @property
    def images(self) -> Json:
        """{container: image}."""
        return self.running.seen.get("images") or {}

    @property
    def digests(self) -> tuple[str, ...]:
        """Of the images that run."""
        return tuple(self.running.seen.get("digests") or ())

    @property
    def release(self) -> int | None:
        """The number of the release that brought it."""
        return self.running.release

    @property
    def since(self) -> datetime | None:
        """Since when this version runs."""
        return self.running.since

    @property
    def seen_at(self) -> datetime | None:
        """When it was last looked at."""
        return self.running.seen_at

    @property
    def difference(self) -> str:
        """What is not as approved, in a few words."""
        return in_short(read(self.drift["differences"])) if self.drift else ""


def visible_rollout(user: User, pk: int) -> Rollout:
    """Return the rollout, or raise NotFound where the person may not see it."""
    found = access.get_or_404(user, Rollout, pk=pk)
    return Rollout.objects.select_related("release__plan", "environment", "started_by").get(pk=found.pk)


def steps_of(rollout: Rollout) -> QuerySet[Step]:
    """Every step with what it depends on, in their order."""
    earlier = Prefetch("depends_on", Step.objects.only("pk"))
    return rollout.steps.select_related("service").prefetch_related(earlier).order_by("position", "id")


# A clean-up that did not go well is over all the same: `Step.is_warning`.
WARNING = Q(params__cleanup=True, direction=Direction.FORWARD, state__in=TROUBLED)


def progress_of(rollouts: Iterable[Rollout]) -> dict[int, Progress]:
    """How far rollouts are, by id: the steps that people are shown, of the way each of them goes."""
    counted = (
        Step.objects.filter(rollout__in=list(rollouts))
        .exclude(kind__in=HIDDEN_KINDS)
        .values("rollout", "direction")
        .annotate(total=Count("pk"), done=Count("pk", filter=Q(state__in=DONE) | WARNING))
    )
    # As soon as there are steps of a way back, those are counted alone.
    rows = sorted(counted, key=lambda row: row["direction"] == Direction.BACK)
    return {row["rollout"]: {"done": row["done"], "total": row["total"]} for row in rows}


def progress(rollout: Rollout) -> Progress:
    """How far one rollout is."""
    return progress_of([rollout]).get(rollout.pk, NO_STEPS)


def events_after(rollout: Rollout, *, after: int, limit: int = MOST_EVENTS) -> tuple[list[Event], int]:
    """Return the events behind a number, in order, and the highest number that exists."""
    last = Topic.objects.filter(name=rollout.topic).values_list("last", flat=True).first() or 0
    found = Event.objects.filter(topic=rollout.topic, number__gt=after).order_by("number")
    return list(found[: min(limit, MOST_EVENTS)]), last


def rollouts_of(release: Release) -> QuerySet[Rollout]:
    """The rollouts of a release, the newest first."""
    return release.rollouts.order_by("-pk")


def replaced_by(rollout: Rollout) -> Rollout | None:
    """Return the newest later rollout that changed a service on which this one acts, and was not taken back.

    What was recorded before this one is then no longer what to go back to, nor what a Job or a restore of it
    was approved for. Services that it only looks at, such as those whose health it asks, are not among them.
    """
    services = rollout.steps.filter(kind__in=ACTS_ON_SERVICE, service__isnull=False).values("service")
    later = Rollout.objects.filter(pk__gt=rollout.pk, environment=rollout.environment_id)
    written = Step.objects.filter(kind__in=UNDONE_BY, intent__isnull=False, service__in=services)
    changed = later.filter(pk__in=written.values("rollout"))
    return changed.exclude(state=RolloutState.ROLLED_BACK).order_by("-pk").first()


def orders_of(rollout: Rollout) -> QuerySet[Order]:
    """What was asked, in its order."""
    return rollout.orders.select_related("by").order_by("pk")


def board(user: User, *, environments: Iterable[Environment] | None = None) -> list[BoardCell]:
    """Return every cell of the board that the person may see; a constant number of queries."""
    seen = access.visible(user, Environment)
    wanted = list(seen if environments is None else seen.filter(pk__in=[each.pk for each in environments]))
    keys = places_of(wanted)
    services = Service.objects.select_related("team").in_bulk({service for service, _environment in keys})
    facts = Facts(wanted)
    facts.read(services)
    by_id = {each.pk: each for each in wanted}
    cells = [facts.cell(services[service], by_id[environment]) for service, environment in keys]
    return sorted(cells, key=lambda cell: (cell.environment.name, cell.service.name))


def cell_of(service: Service, environment: Environment) -> BoardCell:
    """Return one cell of the board."""
    facts = Facts([environment])
    facts.read([service.pk])
    return facts.cell(service, environment)


# Each look that finds something new asks it.
_MOVING_AT = Question(
    lambda: (
        _shown()
        .select_related(None)
        .only("state", "release")
        .filter(environment=Given("environment"), release__items__service=Given("service"))
        .order_by("-pk")[:1]
    )
)


def moving_at(row: Running) -> Rollout | None:
    """Return the rollout that explains what is seen there, where the board shows one that does."""
    here = _MOVING_AT.ask(environment=row.environment_id, service=row.service_id)
    found = _unless_replaced(here[0] if here else None, row)
    return found if found is not None and found.state in EXPLAINS else None


def _shown() -> QuerySet[Rollout]:
    """Rollouts that are not over, or that nobody settled yet, with their releases."""
    left = Q(state__in=LEFT) & ~Q(release__state__in=SETTLED)
    return Rollout.objects.filter(left | Q(state__in=GOING)).select_related("release")


def _unless_replaced(found: Rollout | None, row: Running | Seen | None) -> Rollout | None:
    """One that did not end well has its cell no more once a newer release is there."""
    replaced = found is not None and row is not None and (row.release or 0) > found.release_id
    return None if found is not None and replaced and found.state in LEFT else found


def places_of(environments: Iterable[Environment]) -> list[Key]:
    """Which services run in which of the environments."""
    through = Service.environments.through.objects.filter(environment__in=list(environments))
    return list(through.values_list("service_id", "environment_id"))


def _seen(environments: Sequence[Environment], services: Collection[int]) -> dict[Key, Seen]:
    """What runs of these services there; a statement of its own, as a board has many of them."""
    with connection.cursor() as cursor:
        cursor.execute(SEEN, [[each.pk for each in environments], list(services)])
        rows = cursor.fetchall()
    # Read together: most of them are short.
    read = json.loads("[" + ",".join([f"[{row[2]},{row[3]}]" for row in rows]) + "]")
    return {
        row[:2]: Seen(seen, expected, row[4], _utc(row[5]), _utc(row[6]))
        for row, (seen, expected) in zip(rows, read, strict=True)
    }


def _utc(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(tzinfo=UTC)


class Facts:
    """What is known of the cells of some environments, read at once; as a whole only of those asked for."""

    def __init__(self, environments: Sequence[Environment]) -> None:
        self.environments = environments
        self.marks = marks_in(environments)
        self.running: dict[Key, Seen] = {}
        self.findings: dict[int, Finding] = {}
        self.pending: dict[int, Release] = {}
        self.rollouts: dict[int, Rollout] = {}

    def read(self, services: Iterable[int]) -> None:
        """Read what runs of these services, by their keys, and what else there is of them.

        What came to its end since the marks were read is left out.
        """
        services = set(services)
        self.running |= _seen(self.environments, services)
        marks = self.marks
        if findings := [row for key, row in marks.findings.items() if key[0] in services]:
            self.findings |= Finding.objects.filter(state__in=STANDING).in_bulk(findings)
        if pending := [row for key, rows in marks.pending.items() if key[0] in services for row in rows]:
            self.pending |= _pending().in_bulk(set(pending))
        if rollouts := [row for key, row in marks.rollouts.items() if key[0] in services]:
            going = _shown().prefetch_related("release__items")
            self.rollouts |= going.in_bulk(set(rollouts))

    def cell(self, service: Placed, environment: Environment) -> BoardCell:
        """Return one cell, of a service that was read."""
        key = (service.id, environment.id)
        row, marks = self.running.get(key, NOTHING_SEEN), self.marks
        found = self.rollouts.get(marks.rollouts[key]) if key in marks.rollouts else None
        shown = _unless_replaced(found, row) if found else None
        finding = self.findings.get(marks.findings[key]) if key in marks.findings else None
        return BoardCell(
            service=service,
            environment=environment,
            running=row,
            drift=_drift_of(row, service, beside=shown, finding=finding),
            pinned=key in marks.pinned,
            pending=self._pending(key) if key in marks.pending else (),
            rollout=shown,
            finding=finding,
        )

    def _pending(self, key: Key) -> tuple[Release, ...]:
        waiting = (self.pending.get(number) for number in self.marks.pending[key])
        return tuple(release for release in waiting if release is not None)


def _pending() -> QuerySet[Release]:
    found = Release.objects.filter(state__in=PENDING)
    return found.defer("content", "announcement").prefetch_related("items")


def _drift_of(row: Seen, service: Placed, *, beside: Rollout | None, finding: Finding | None) -> Json | None:
    """Return {"expected", "found", "differences"} where something differs.

    Beside a rollout that explains some of it, it is what the finding says.
    """
    if beside is not None and beside.state in EXPLAINS:
        found = read(finding.differences) if finding else []
    else:
        found = differences(row.expected, row.seen, scale=service.scale) if row.expected else []
    if not found:
        return None
    expected = set(row.expected.get("digests") or ())
    of_images = any(each.code in OF_IMAGES for each in found)
    foreign = set(row.seen.get("digests") or ()) - expected if of_images else set()
    return {
        "expected": sorted(expected),
        "found": sorted(foreign),
        "differences": [each.as_json for each in found],
    }


def rollout_shape(rollout: Rollout) -> Json:
    """Return a rollout as the API gives it (interface.md, "Shapes")."""
    pause = rollout.pause
    return {
        "id": rollout.pk,
        "release": rollout.release_id,
        "environment": rollout.environment.name,
        "state": rollout.state,
        "progress": progress(rollout),
        "expected_seconds": rollout.expected_seconds,
        "orders": [order_shape(order) for order in orders_of(rollout)],
        "pause": {**worded_in(pause), "text": texts.pause(pause), "help": lifting.help_with(rollout)}
        if pause
        else None,
        "stands": by_itself.stands_because(rollout, rollout.steps.filter(state=StepState.FAILED)),
        "eta": durations.due_at(rollout),
        "verdict": rollout.verdict,
        "warnings": [
            {"step": step.pk, "key": step.key, "text": texts.warning(step)} for step in warnings_of(rollout)
        ],
        "started_by": rollout.started_by.username if rollout.started_by else None,
        "content_digest": rollout.content_digest,
        "queued_at": rollout.queued_at,
        "started_at": rollout.started_at,
        "ended_at": rollout.ended_at,
    }


def warnings_of(rollout: Rollout) -> list[Step]:
    """The clean-ups that did not go well."""
    found = rollout.steps.filter(params__cleanup=True, state__in=TROUBLED).select_related("service")
    return [step for step in found.order_by("position") if step.is_warning]


def order_shape(order: Order) -> Json:
    """Return an order as the API gives it."""
    return {
        "id": order.pk,
        "kind": order.kind,
        "step": order.step_id,
        "by": order.by.username if order.by else None,
        "reason": texts.own_reason(order.reason),
        "asked_at": order.asked_at,
        "honoured_at": order.honoured_at,
        "outcome": order.outcome,
        "reached": worded_in((order.reach or {}).get("targets", [])),
    }


def asked_shape(order: Order) -> Json:
    """Return an order that was just given, and the one that it repeats, if it does."""
    asked = {"id": order.pk, "kind": order.kind, "asked_at": order.asked_at}
    first = repeats.repeated_by(order)
    if first is None or first.by is None:
        return asked
    said = {"asked_at": first.asked_at, "text": repeats.told(first)}
    return {**asked, "repeats": {"order": first.pk, "by": first.by.username, **said}}


def step_shape(step: Step) -> Json:
    """Return a step as the API gives it."""
    failure = step.failure
    return {
        "id": step.pk,
        "key": step.key,
        "kind": step.kind,
        "title": texts.step_title(step),
        "service": step.service.name if step.service else None,
        "wave": step.wave,
        "direction": step.direction,
        "state": step.state,
        "attempt": step.attempt,
        "depends_on": [each.pk for each in step.depends_on.all()],
        "plan": texts.planned(step),
        "changes": (step.planned or {}).get("changes") or [],
        "observed": texts.observed(step.observed),
        "gates": watched.shape(step),
        "failure": {**worded_in(failure), "text": texts.failure(failure)} if failure else None,
        "history": worded_in(step.history),
        "reason": step.reason,
        "started_at": step.started_at,
        "ended_at": step.ended_at,
        "deadline_at": step.deadline_at,
    }


def event_shape(event: Event) -> Json:
    """Return an event as the API gives it."""
    return {
        "id": event.number,
        "at": event.at,
        "kind": event.kind,
        "step": event.data.get("step"),
        "text": texts.event(event),
        "data": worded_in(event.data),
    }
