"""Changing what one is told, and sending the digests."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Invalid, NotAllowed, field_error
from portal.jobs import for_each
from portal.notices.kinds import KINDS
from portal.notices.models import LAST_HOUR, Preferences, Way
from portal.notices.telling import digest_at, preferences_of, quiet_end
from portal.outbox.backends import link_of
from portal.outbox.models import Message, MessageState
from portal.outbox.post import Letter, post_all
from portal.people.models import User


def change_preferences(
    *,
    actor: Actor,
    ways: Mapping[str, str],
    quiet_from: int | None,
    quiet_until: int | None,
    trouble_wakes: bool,
    digest_hour: int,
) -> Preferences:
    """Store how the person who acts wants to be told; what is put off already follows a new digest hour.

    Args:
        ways: by kind; a kind left out comes at once.
        quiet_from: the hour of one's own clock at which quiet begins; None, like `quiet_until`, for never.

    Raises:
        NotAllowed: no person acts.
        Invalid: an unknown kind or way, half of a span, or an hour that no clock shows.
    """
    if actor.user is None:
        raise NotAllowed
    _check(ways, quiet_from, quiet_until, digest_hour)
    wanted: dict[str, Any] = {
        "ways": dict(ways),
        "quiet_from": quiet_from,
        "quiet_until": quiet_until,
        "trouble_wakes": trouble_wakes,
        "digest_hour": digest_hour,
    }
    with transaction.atomic():
        person = User.objects.select_for_update().get(pk=actor.user.pk)
        chosen = preferences_of([person])[person.pk]
        before = {name: getattr(chosen, name) for name in wanted}
        after = {name: value for name, value in wanted.items() if value != before[name]}
        if not after:
            return chosen
        chosen, _made = Preferences.objects.update_or_create(person=person, defaults=wanted)
        due = digest_at(person, chosen, clock.now())
        Message.objects.filter(person=person, state=MessageState.PUT_OFF).update(next_at=due)
        record(
            "person.changed",
            actor=actor,
            subject=("person", person.username),
            before={name: before[name] for name in after},
            after=after,
        )
    return chosen


def send_digests() -> None:
    """Send every person whose digest is due what was put off for it, in one mail."""
    put_off = Message.objects.filter(state=MessageState.PUT_OFF, next_at__lte=clock.now())
    for_each(put_off.order_by("person").values_list("person", flat=True).distinct(), _collect)


def _collect(pk: int) -> None:
    """Write one digest; the person's row keeps two sweepers from writing two."""
    with transaction.atomic():
        person = User.objects.select_for_update().get(pk=pk)
        now = clock.now()
        due = Message.objects.filter(person=person, state=MessageState.PUT_OFF, next_at__lte=now)
        found = list(due.order_by("kind", "id"))
        if not found:
            return
        taken = Message.objects.filter(pk__in=[message.pk for message in found])
        if not person.is_active:
            taken.update(state=MessageState.KEPT)
            return
        chosen = preferences_of([person])[person.pk]
        with override(person.language or settings.LANGUAGE_CODE):
            letter = Letter(
                key=f"digest.{found[-1].pk}:{person.username}",
                channel="mail" if person.email else "console",
                recipient=person.email or person.username,
                subject=_subject(len(found)),
                body=_text(found),
                person=person.pk,
                next_at=quiet_end(person, chosen, now),
            )
        post_all([letter])
        taken.update(state=MessageState.COLLECTED, sent_at=now)


def _subject(count: int) -> str:
    return ngettext("{count} message about releases", "{count} messages about releases", count).format(
        count=count
    )


def _text(messages: Sequence[Message]) -> str:
    """What was put off, under the name of its kind, each with its link."""
    parts = []
    for kind, group in groupby(messages, key=lambda message: message.kind):
        lines = [f"- {message.subject}\n  {link_of(message)}".rstrip() for message in group]
        parts.append("\n".join([str(KINDS.get(kind, _("Other"))), *lines]))
    return "\n\n".join(parts)


def _check(
    ways: Mapping[str, str], quiet_from: int | None, quiet_until: int | None, digest_hour: int
) -> None:
    faults = [
        field_error(kind, _("One of the choices is expected."))
        for kind, way in ways.items()
        if kind not in KINDS or way not in Way.values
    ]
    hours = {"quiet_from": quiet_from, "quiet_until": quiet_until, "digest_hour": digest_hour}
    faults += [
        field_error(name, _("An hour from 0 to 23 is expected."))
        for name, hour in hours.items()
        if hour is not None and not 0 <= hour <= LAST_HOUR
    ]
    if (quiet_from is None) != (quiet_until is None):
        faults.append(field_error("quiet_until", _("Choose both hours, or none.")))
    elif quiet_from is not None and quiet_from == quiet_until:
        faults.append(field_error("quiet_until", _("Quiet must end at another hour than it begins.")))
    if faults:
        raise Invalid(missing=faults)
