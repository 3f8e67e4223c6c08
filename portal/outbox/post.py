"""Putting messages into the outbox; they leave after commit."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from portal import clock, jobs
from portal.outbox.models import Message, MessageState


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A message before it is written.

    Attributes:
        key: what makes it unique, such as "release.145.submitted:minji".
        channel: mail or console.
        person: the id of whom it is for, where that is somebody with an account.
        kind: what it is about, one of portal.notices.kinds.
        state: waiting, put_off or kept.
        next_at: when it may leave, or go into a digest; None for now.
    """

    key: str
    channel: str
    recipient: str
    subject: str
    body: str
    link: str = ""
    person: int | None = None
    kind: str = ""
    state: str = MessageState.WAITING
    next_at: datetime | None = None


def post(key: str, *, channel: str, recipient: str, subject: str, body: str, link: str = "") -> Message:
    """Write a message in the present transaction; a second one under the same key changes nothing."""
    letter = Letter(key=key, channel=channel, recipient=recipient, subject=subject, body=body, link=link)
    post_all([letter])
    return Message.objects.get(key=key)


def post_all(letters: Iterable[Letter]) -> None:
    """Write messages in one insert; those whose key is there already change nothing."""
    now = clock.now()
    rows = {letter.key: _row(letter, now) for letter in letters}
    if not rows:
        return
    Message.objects.bulk_create(rows.values(), ignore_conflicts=True)
    if any(each.state == MessageState.WAITING and each.next_at <= now for each in rows.values()):
        jobs.enqueue("portal.outbox.jobs.send_due")


def _row(letter: Letter, now: datetime) -> Message:
    return Message(
        key=letter.key,
        channel=letter.channel,
        recipient=letter.recipient,
        subject=letter.subject[:250],
        body=letter.body,
        link=letter.link,
        person_id=letter.person,
        kind=letter.kind,
        state=letter.state,
        next_at=letter.next_at or now,
        created_at=now,
    )
