"""Taking in an event, and making of it what a person would: a release, submitted, and started where it may.

Every act is the operation of all doors, in the name of the connection's account and under its rights, and
each is a transaction of its own: a worker that dies is followed by another that finds how far it came.
"""

import json
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import (
    Conflict,
    Invalid,
    NotAllowed,
    NotFound,
    PermanentError,
    PortalError,
    TemporaryError,
)
from portal.integrations.hooks import events, signatures
from portal.integrations.hooks.events import Built, CiEvent
from portal.jobs import enqueue
from portal.people.models import User
from portal.sentences import Text, joined, kept, sentence
from portal.transitions import move
from releases import openings, operations
from releases.catalog import versions
from releases.catalog.models import Connection, ConnectionKind, Environment, Service
from releases.catalog.references import value_of
from releases.models import Release
from releases.pipeline import ordering
from releases.pipeline.matching import concerns, tag_of
from releases.pipeline.models import Arrival, Delivery
from releases.pipeline.states import ArrivalState
from releases.rollouts.models import QueuePlace
from releases.rollouts.queueing import ask_start
from releases.rollouts.states import PlaceState
from releases.states import PENDING, ReleaseState

A = ArrivalState
WORK = "releases.pipeline.jobs.work"
# What an event says of its order among others, and the columns that keep it.
ORDER = {"at": "happened_at", "before": "before"}
KINDS = frozenset({ConnectionKind.GITLAB, ConnectionKind.GITHUB, ConnectionKind.CI})
READERS: dict[str, Callable[[Mapping[str, Any]], CiEvent | None]] = {
    ConnectionKind.GITLAB: events.of_gitlab,
    ConnectionKind.GITHUB: events.of_github,
    ConnectionKind.CI: events.of_ci,
}
# How long an image may take to be built, and a place to be free.
PATIENCE = timedelta(hours=2)
LOOK_AGAIN = timedelta(seconds=20)
# While somebody is at it, nobody else is; a worker that died is followed after that.
CLAIM = timedelta(seconds=60)
MOST_BROKEN = 3


def receive(name: str, headers: Mapping[str, str], body: bytes) -> tuple[Delivery, bool]:
    """Keep a signed event once, and have it worked on; returns it and whether it is new.

    Args:
        name: of the connection.
        headers: by their names in lower case.
        body: as it was sent; parsed only when its signature is right.

    Raises:
        PermanentError: with code "bad_signature"; an unknown connection is told the same.
        Invalid: it is no event of this kind.
    """
    connection = Connection.objects.filter(name=name, kind__in=KINDS).first()
    if connection is None:
        raise PermanentError(
            _("The signature is not that of this connection."), code=signatures.BAD_SIGNATURE
        )
    delivery_id = _signed_id(connection, headers, body)[:200]
    event = _read(connection, body)
    with transaction.atomic():
        delivery, made = Delivery.objects.get_or_create(
            connection=connection,
            delivery_id=delivery_id,
            defaults={"event": _as_data(event), **_order_of(event), "received_at": clock.now()},
        )
        if made and event is not None:
            _arrive(delivery, event)
    return delivery, made


def _signed_id(connection: Connection, headers: Mapping[str, str], body: bytes) -> str:
    references = [connection.spec[key] for key in ("secretRef", "oldSecretRef") if key in connection.spec]
    secrets = [value_of(reference) for reference in references]
    if connection.kind == ConnectionKind.GITHUB:
        return signatures.github(headers, body, secrets=secrets)
    return signatures.standard_webhook(headers, body, secrets=secrets, now=clock.now())


def _read(connection: Connection, body: bytes) -> CiEvent | None:
    """The event, unless it is about something else or about a repository that is not the connection's."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Invalid(_("The body should be JSON in UTF-8.")) from error
    if not isinstance(data, Mapping):
        raise Invalid(_("An object is expected."))
    event = READERS[connection.kind](data)
    if event is None or event.repository not in connection.spec.get("repositories", []):
        return None
    return event


def _as_data(event: CiEvent | None) -> dict[str, Any]:
    if event is None:
        return {}
    builds = [{"service": each.service, "version": each.version} for each in event.builds]
    told = {name: value for name, value in vars(event).items() if name not in ORDER}
    return {**told, "builds": builds}


def _order_of(event: CiEvent | None) -> dict[str, Any]:
    told = {column: getattr(event, name) for name, column in ORDER.items()} if event else {}
    return {**told, "happened_at": ordering.telling(event.at)} if event else told


def _as_event(data: Mapping[str, Any]) -> CiEvent:
    return CiEvent(**{**data, "builds": tuple(Built(**each) for each in data["builds"])})


def _arrive(delivery: Delivery, event: CiEvent) -> None:
    """Write down where it leads; what waited there for the same services is replaced, unless it is newer."""
    now = clock.now()
    found = concerns(
        event,
        environments=Environment.objects.order_by("pk").values_list("name", "protected", "spec"),
        services=[
            (service.name, service.spec, [each.name for each in service.environments.all()])
            for service in Service.objects.order_by("name").prefetch_related("environments")
        ],
    )
    actor = _actor(delivery)
    subject = ("delivery", str(delivery.pk))
    after = {**_as_data(event), "leads_to": [each.environment for each in found]}
    record("delivery.received", actor=actor, subject=subject, after=after)
    for each in found:
        environment = Environment.objects.select_for_update(no_key=True).get(name=each.environment)
        late = ordering.newer_there(delivery, environment, each.services)
        services = [name for name in each.services if name not in late]
        for older in _waiting_for(environment, set(services)):
            _leave_to_newer(older, services, actor=actor)
        arrival = Arrival.objects.create(
            delivery=delivery,
            environment=environment,
            services=services or list(each.services),
            starts=each.starts,
            wake_at=now,
            give_up_at=now + PATIENCE,
        )
        if not services:
            _end(arrival, A.REPLACED, actor=actor, reason=next(iter(late.values())))
        else:
            enqueue(WORK, arrival.pk)


def _waiting_for(environment: Environment, services: set[str]) -> list[Arrival]:
    waiting = Arrival.objects.select_for_update().filter(environment=environment, state=A.WAITING)
    return [each for each in waiting.order_by("pk") if services & set(each.services)]


def _leave_to_newer(older: Arrival, services: Collection[str], *, actor: Actor) -> None:
    """Take services from one that waits, and end it where none is left."""
    rest = [name for name in older.services if name not in services]
    if not rest:
        _end(older, A.REPLACED, actor=actor, reason=_("A newer event came for the same services."))
    elif older.release_id is None:
        before, older.services = older.services, rest
        older.save(update_fields=["services"])
        subject = ("arrival", str(older.pk))
        record(
            "arrival.shrunk",
            actor=actor,
            subject=subject,
            before={"services": before},
            after={"services": rest},
        )


def work(arrival_id: int) -> None:
    """Carry an arrival one act further, and have the next one done; harmless when done twice."""
    arrival = _claim(arrival_id)
    if arrival is None:
        return
    actor = _actor(arrival.delivery)
    try:
        again = _carry_on(arrival, actor=actor)
    except TemporaryError as error:
        _wait(arrival, error.detail, actor=actor)
    except (NotAllowed, NotFound, Invalid, Conflict, PermanentError) as error:
        _settle(arrival_id, A.REFUSED, actor=actor, reason=_words(error))
    else:
        if again:
            Arrival.objects.filter(pk=arrival_id).update(wake_at=clock.now())
            enqueue(WORK, arrival_id)


def give_up_broken(arrival_id: int, reason: Text, *, actor: Actor) -> None:
    """Refuse an arrival that broke off too often by a fault of our own."""
    if Arrival.objects.filter(pk=arrival_id, state=A.WAITING, tries__gte=MOST_BROKEN).exists():
        _settle(arrival_id, A.REFUSED, actor=actor, reason=reason)


def _claim(arrival_id: int) -> Arrival | None:
    """The arrival, if it is due and nobody is at it."""
    with transaction.atomic():
        due = Arrival.objects.select_for_update(skip_locked=True, of=("self",)).filter(
            pk=arrival_id, state=A.WAITING, wake_at__lte=clock.now()
        )
        arrival = due.select_related("delivery__connection", "environment", "release").first()
        if arrival is not None:
            arrival.wake_at, arrival.tries = clock.now() + CLAIM, arrival.tries + 1
            arrival.save(update_fields=["wake_at", "tries"])
        return arrival


def _carry_on(arrival: Arrival, *, actor: Actor) -> bool:
    """Do the next act; returns whether there is another one to do now."""
    if actor.user is None or not actor.user.is_active:
        raise NotAllowed(_("The account of this connection is missing or closed."))
    if arrival.release is None:
        return _compose(arrival, actor=actor)
    release = Release.objects.get(pk=arrival.release.pk)
    if release.state == ReleaseState.DRAFT:
        operations.submit_release(release.number, actor=actor)
        return True
    came_to = _came_to(release)
    if arrival.starts and release.state == ReleaseState.APPROVED and came_to == A.SUBMITTED:
        _start(arrival, release, actor=actor)
    else:
        _settle(arrival.pk, came_to, actor=actor)
    return False


def _came_to(release: Release) -> ArrivalState:
    """What has become of a submitted release: who was at it before may have died before saying so."""
    if QueuePlace.objects.filter(release=release, state=PlaceState.QUEUED).exists():
        return A.QUEUED
    if release.state == ReleaseState.SCHEDULED:
        return A.SCHEDULED
    return A.STARTED if release.rollouts.exists() else A.SUBMITTED


def _compose(arrival: Arrival, *, actor: Actor) -> bool:
    event = _as_event(arrival.delivery.event)
    items = [_item(name, event) for name in arrival.services]
    lacking = [name for name, item in zip(arrival.services, items, strict=True) if item is None]
    if lacking:
        text = _("There is no image of {commit} yet for: {names}.")
        _wait(arrival, sentence(text, commit=event.commit[:8], names=", ".join(lacking)), actor=actor)
        return False
    twin = _twin(arrival, [item for item in items if item is not None])
    with transaction.atomic():
        # Whoever was taken for dead may have been here.
        locked = Arrival.objects.select_for_update().get(pk=arrival.pk)
        if locked.services != arrival.services:
            return True  # a newer event has taken some of them meanwhile
        if locked.release_id is None and locked.state == A.WAITING:
            locked.release = twin or operations.create_release(_draft(arrival, event, items), actor=actor)
            locked.save(update_fields=["release"])
    return True


def _twin(arrival: Arrival, items: list[dict[str, str]]) -> Release | None:
    """A release that waits there with the very same images: another one would void what was decided on it.

    Where the event starts it, one that an event has made.
    """
    waiting = Release.objects.filter(environment=arrival.environment, state__in=PENDING, operation={})
    if arrival.starts:
        waiting = waiting.filter(arrivals__isnull=False)
    rows = list(waiting.distinct().order_by("-number"))
    if not rows:
        return None
    services = Service.objects.in_bulk([item["service"] for item in items], field_name="name")
    wanted = {
        item["service"]: versions.resolve(services[item["service"]], item["version"]).digest for item in items
    }
    same = (each for each in rows if dict(each.items.values_list("service__name", "digest")) == wanted)
    return next(same, None)


def _draft(arrival: Arrival, event: CiEvent, items: list[dict[str, str] | None]) -> dict[str, Any]:
    what = f"{event.kind} {event.ref} {event.commit[:8]}"
    said = f"{event.repository}: {what}" + (f" ({event.by})" if event.by else "")
    return {
        "title": f"{event.repository.rpartition('/')[2]} {event.ref} {event.commit[:8]}"[:200],
        "environment": arrival.environment.name,
        "items": items,
        "changes": [{"area": "CI", "text": said[:500], "link": None}],
    }


def _item(name: str, event: CiEvent) -> dict[str, str] | None:
    """A service with the version that the event means; None while there is no such image."""
    service = Service.objects.get(name=name)
    version = next((each.version for each in event.builds if each.service == name), "")
    version = version or _version_of(service, event)
    if not version or not _exists(service, version):
        return None
    known = bool(event.by) and User.objects.filter(username=event.by).exists()
    return {"service": name, "version": version, **({"built_by": event.by} if known else {})}


def _version_of(service: Service, event: CiEvent) -> str:
    """By the catalog's template for tags, or the version whose image says that it is of this commit."""
    template = str((service.spec.get("source") or {}).get("version", ""))
    if template:
        return tag_of(template, event)
    offered = versions.versions(service)
    found = [each.version for each in offered if each.revision == event.commit]
    return event.ref if event.kind == events.TAG and event.ref in found else next(iter(found), "")


def _exists(service: Service, version: str) -> bool:
    try:
        versions.resolve(service, version)
    except PermanentError as error:
        if error.code == "image_not_found":
            return False
        raise
    return True


def _start(arrival: Arrival, release: Release, *, actor: Actor) -> None:
    """Start it, or let it wait for its turn, or for the next opening where only the calendar says no."""
    try:
        begun = ask_start(release.number, actor=actor)
    except Conflict as error:
        if not openings.close_alone(error):
            raise
        operations.schedule_release(release.number, actor=actor, window="next")
        _settle(arrival.pk, A.SCHEDULED, actor=actor, reason=_words(error))
    else:
        _settle(arrival.pk, A.QUEUED if isinstance(begun, QueuePlace) else A.STARTED, actor=actor)


def _wait(arrival: Arrival, reason: Text, *, actor: Actor) -> None:
    """Look again later; past its time it is refused."""
    now = clock.now()
    if now >= arrival.give_up_at:
        _settle(arrival.pk, A.REFUSED, actor=actor, reason=reason)
        return
    waiting = Arrival.objects.filter(pk=arrival.pk, state=A.WAITING)
    waiting.update(reason=str(reason), why=kept(reason), wake_at=now + LOOK_AGAIN, tries=0)


def _settle(arrival_id: int, state: str, *, actor: Actor, reason: Text = "") -> None:
    with transaction.atomic():
        arrival = Arrival.objects.select_for_update(of=("self",)).get(pk=arrival_id)
        if arrival.state == A.WAITING:
            _end(arrival, state, actor=actor, reason=reason)


def _end(arrival: Arrival, state: str, *, actor: Actor, reason: Text) -> None:
    arrival.reason, arrival.why = str(reason), kept(reason)
    arrival.wake_at, arrival.ended_at = None, clock.now()
    fields = ["reason", "why", "wake_at", "ended_at"]
    move(arrival, state, actor=actor, reason=reason, fields=fields, release=arrival.release_id)


def _actor(delivery: Delivery) -> Actor:
    """The connection's account; what it may do is asked of it like of everybody."""
    name = str(delivery.connection.spec.get("account", ""))
    user = User.objects.filter(username=name).first()
    return Actor(user=user, door="hook", cause=f"{delivery.connection.name}: {delivery}")


def _words(error: PortalError) -> Text:
    texts = [each.get("text", "") for each in error.missing]
    return error.detail or joined(texts) or error.title
