"""Delivering messages: claimed by one worker, in order for each recipient, again later when it fails."""

import logging
import time
from datetime import timedelta

from django.db import connection
from django.db.models import F

from portal import clock
from portal.errors import PermanentError, TemporaryError
from portal.outbox.backends import carry
from portal.outbox.models import Message, MessageState

logger = logging.getLogger(__name__)
# A worker that dies in the middle of a delivery holds its message no longer than this.
CLAIM = timedelta(seconds=60)
FIRST_WAIT_SECONDS = 5
LONGEST_WAIT_SECONDS = 900
MOST_ATTEMPTS = 16  # two hours in all
# The first of each recipient's line, where it is due. What was held back, as in quiet hours, joins the line
# when its time comes, and holds up nothing. Another worker's claim is seen when its row is locked.
CLAIM_DUE = """
WITH line AS (
    SELECT DISTINCT ON (channel, recipient) id FROM outbox_message
    WHERE state = 'waiting' AND (attempts > 0 OR next_at <= %(now)s)
    ORDER BY channel, recipient, id
), free AS (
    SELECT message.id FROM outbox_message AS message JOIN line USING (id)
    WHERE message.state = 'waiting' AND message.next_at <= %(now)s
    ORDER BY message.next_at, message.id LIMIT %(most)s FOR UPDATE OF message SKIP LOCKED
)
UPDATE outbox_message AS message SET attempts = attempts + 1, next_at = %(until)s
FROM free WHERE message.id = free.id
RETURNING message.*, (SELECT NOT is_active FROM people_user WHERE id = message.person_id) AS has_left
"""
SENT = "UPDATE outbox_message SET state = 'sent', sent_at = clock_timestamp(), last_error = '' WHERE id = %s"


def deliver_due(*, most: int, ends_at: float) -> bool:
    """Deliver what is due and first in its recipient's line, each message by one worker only.

    Args:
        most: so many at the most.
        ends_at: from this moment of `time.monotonic` on, the rest is left to whoever comes next.

    Returns:
        Whether there was any: behind it others may be due now.
    """
    now = clock.now()
    until = now + CLAIM
    asked = {"now": now, "until": until, "most": most}
    claimed = sorted(Message.objects.raw(CLAIM_DUE, asked), key=lambda each: each.pk)
    for number, message in enumerate(claimed):
        if number and time.monotonic() > ends_at:
            rest = [each.pk for each in claimed[number:]]
            # Whoever stood still for long may have lost them to another worker.
            mine = Message.objects.filter(pk__in=rest, state=MessageState.WAITING, next_at=until)
            mine.update(attempts=F("attempts") - 1, next_at=now)
            break
        _deliver(message)
    return bool(claimed)


def is_due() -> bool:
    """Whether a message waits for whoever delivers it."""
    return Message.objects.filter(state=MessageState.WAITING, next_at__lte=clock.now()).exists()


def _deliver(message: Message) -> None:
    if message.has_left:  # type: ignore[attr-defined]  # annotated
        # Its reader's account is closed: who has left learns nothing more, be it held back or late.
        Message.objects.filter(pk=message.pk).update(state=MessageState.KEPT)
    elif message.attempts > MOST_ATTEMPTS:
        _park(message, message.last_error)
    else:
        _send(message)


def _send(message: Message) -> None:
    try:
        carry(message)
    except TemporaryError as error:
        _try_later(message, str(error))
    except PermanentError as error:
        _park(message, str(error))
    except Exception as error:
        # A fault of our own, with this one message: those behind it leave meanwhile.
        logger.exception("message %s to %s could not be sent", message.key, message.recipient)
        _try_later(message, repr(error))
    else:
        with connection.cursor() as cursor:
            cursor.execute(SENT, [message.pk])


def _try_later(message: Message, reason: str) -> None:
    if message.attempts >= MOST_ATTEMPTS:
        _park(message, reason)
        return
    seconds = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (message.attempts - 1))
    next_at = clock.now() + timedelta(seconds=seconds)
    Message.objects.filter(pk=message.pk).update(next_at=next_at, last_error=reason)


def _park(message: Message, reason: str) -> None:
    """Set it aside, so that the line behind it goes on."""
    Message.objects.filter(pk=message.pk).update(state=MessageState.PARKED, last_error=reason)
    logger.error("message %s to %s is parked: %s", message.key, message.recipient, reason)
