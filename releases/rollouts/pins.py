"""Pins: after a rollback no automation rolls a service forward until somebody lifts the pin with a reason."""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from portal import access, clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict, Invalid, Missing, NotFound, field_error
from portal.live.publish import touch
from portal.people.models import User
from portal.sentences import Text, sentence
from portal.words import check_words
from releases.catalog.models import Environment
from releases.models import Release
from releases.operations.locking import require_scope
from releases.rollouts.models import Pin
from releases.rollouts.wordings import ROLLS_OUT

# Doors behind which nobody stands.
AUTOMATIC = frozenset({"worker", "hook"})


def is_automatic(actor: Actor) -> bool:
    """Whether nobody presses anything now: a schedule, the queue or an event starts, in whoever's name."""
    return actor.user is None or actor.door in AUTOMATIC


def pins_of(release: Release) -> QuerySet[Pin]:
    """The pins that stand on services of a release, where it goes.

    An operation rolls nothing forward: it meets no pin, and lifts none.
    """
    if release.operation:
        return Pin.objects.none()
    found = Pin.objects.filter(environment=release.environment_id, lifted_at=None)
    return found.filter(service__in=release.items.values("service")).select_related(
        "service", "environment", "rollout"
    )


def visible_pins(user: User) -> QuerySet[Pin]:
    """The pins that stand where a person may look."""
    seen = access.visible(user, Environment)
    found = Pin.objects.filter(environment__in=seen, lifted_at=None)
    return found.select_related("service", "environment", "rollout").order_by("pk")


def missing_for(release: Release, *, actor: Actor, asked_at: datetime | None = None) -> list[Missing]:
    """What pins hold against a start; nothing against that of a person, which lifts them and says so.

    Args:
        asked_at: when it was put into the line; a pin that stood then was seen by the person who did.
    """
    if not is_automatic(actor):
        return []
    return [
        {"code": "pin", "id": pin.pk, "service": pin.service.name, "text": text_of(pin)}
        for pin in pins_of(release)
        if asked_at is None or pin.set_at > asked_at
    ]


def text_of(pin: Pin) -> Text:
    """Say which rollback pinned the service, and what ends it."""
    text = _(
        "{service} is pinned since #{number} was rolled back. Nothing starts it by itself: "
        "lift the pin, or start the release by hand."
    )
    return sentence(text, service=pin.service.name, number=pin.rollout.release_id)


def lift_pin(pin_id: int, *, actor: Actor, reason: str) -> Pin:
    """Let automation roll a service forward again.

    Raises:
        NotFound, NotAllowed.
        Invalid: no reason is given.
        Conflict: somebody was faster.
    """
    check_words(reason)
    if not reason.strip():
        raise Invalid(missing=[field_error("reason", _("Say why."))])
    with transaction.atomic():
        rows = Pin.objects.select_for_update(of=("self",)).select_related("environment", "service", "rollout")
        pin = rows.filter(pk=pin_id).first()
        if pin is None:
            raise NotFound
        access.require(actor, "operate", pin.environment)
        require_scope(actor, "operate")
        if pin.lifted_at is not None:
            raise Conflict(_("It was lifted already."))
        _lift(pin, actor=actor, reason=reason)
    return pin


def lift_for(release: Release) -> None:
    """A release that a person starts lifts the pins of its services, and the record says so."""
    actor = Actor.portal(f"release {release.number}")
    for pin in pins_of(release):
        _lift(pin, actor=actor, reason=ROLLS_OUT, release=release.number)


def _lift(pin: Pin, *, actor: Actor, reason: str, release: int | None = None) -> None:
    pin.lifted_at, pin.lifted_by, pin.lift_reason = clock.now(), actor.user, reason
    pin.save(update_fields=["lifted_at", "lifted_by", "lift_reason"])
    subject = ("pin", f"{pin.service.name}@{pin.environment.name}")
    name = pin.service.name
    record("pin.lifted", actor=actor, subject=subject, reason=reason, release=release, service=name)
    touch(f"board.{pin.environment.name}")
