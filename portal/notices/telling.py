"""Telling people: each message goes the way and at the time that its reader chose."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings

from portal import clock
from portal.notices.hours import next_digest, quiet_until
from portal.notices.kinds import TROUBLE
from portal.notices.models import Preferences, Way
from portal.outbox.models import MessageState
from portal.outbox.post import Letter, post_all
from portal.people.models import User
from portal.statements import Given, Question

_CHOSEN = Question(lambda: Preferences.objects.filter(person__pk__among=Given("people")))


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something to tell a person.

    Attributes:
        kind: what it is about, one of portal.notices.kinds.
        key: what makes it unique; a second notice under the same key changes nothing.
    """

    person: User
    kind: str
    key: str
    subject: str
    body: str
    link: str = ""


def tell(notices: Sequence[Notice]) -> None:
    """Write the messages in the present transaction, all in one insert."""
    post_all(letters(notices))


def letters(notices: Sequence[Notice]) -> list[Letter]:
    """The messages as they would be written now."""
    if not notices:
        return []
    chosen = preferences_of(notice.person for notice in notices)
    now = clock.now()
    return [_letter(notice, chosen[notice.person.pk], now) for notice in notices]


def preferences_of(people: Iterable[User]) -> dict[int, Preferences]:
    """What each of these people chose, by id; who chose nothing has the defaults."""
    ids = {person.pk for person in people}
    chosen = {each.pk: each for each in _CHOSEN.ask(people=list(ids))}
    return {pk: chosen.get(pk) or Preferences(person_id=pk) for pk in ids}


def zone_of(person: User) -> ZoneInfo:
    """The zone of a person's clock."""
    return ZoneInfo(person.time_zone or settings.TIME_ZONE)


def digest_at(person: User, chosen: Preferences, now: datetime) -> datetime:
    """When the person's next digest is due."""
    return next_digest(now, hour=chosen.digest_hour, zone=zone_of(person))


def quiet_end(person: User, chosen: Preferences, now: datetime) -> datetime | None:
    """When the person's quiet hours end, if it is them now."""
    if chosen.quiet_from is None or chosen.quiet_until is None:
        return None
    return quiet_until(now, start=chosen.quiet_from, end=chosen.quiet_until, zone=zone_of(person))


def _letter(notice: Notice, chosen: Preferences, now: datetime) -> Letter:
    person = notice.person
    state, at = _when(notice, chosen, now)
    return Letter(
        key=notice.key,
        channel="mail" if person.email else "console",
        recipient=person.email or person.username,
        subject=notice.subject,
        body=notice.body,
        link=notice.link,
        person=person.pk,
        kind=notice.kind,
        state=state,
        next_at=at,
    )


def _when(notice: Notice, chosen: Preferences, now: datetime) -> tuple[str, datetime | None]:
    way = chosen.way(notice.kind)
    if way == Way.PAGE:
        return MessageState.KEPT, None
    if way == Way.DIGEST:
        return MessageState.PUT_OFF, digest_at(notice.person, chosen, now)
    if notice.kind == TROUBLE and chosen.trouble_wakes:
        return MessageState.WAITING, None
    return MessageState.WAITING, quiet_end(notice.person, chosen, now)
