"""Delivering messages: claimed by one worker, in order for each recipient, again later when it fails."""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

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
# Its reader's account is closed: who has left learns nothing more, be it held back or late.
LEFT = Q(person__is_active=False)


def deliver(pk: int) -> None:
    """Deliver one message if it is due, is first in its recipient's line, and nobody else has it."""
    message = _claim(pk)
    if message is None:
        return
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
        sent = Message.objects.filter(pk=message.pk)
        sent.update(state=MessageState.SENT, sent_at=clock.now(), last_error="")


def due(now: datetime, *, limit: int) -> list[int]:
    """The messages that should leave now, at most one for each recipient."""
    waiting = Message.objects.filter(_in_line(now), state=MessageState.WAITING)
    first = waiting.order_by("channel", "recipient", "id").distinct("channel", "recipient")
    found = Message.objects.filter(pk__in=first.values("pk"), next_at__lte=now).order_by("next_at", "id")
    return list(found.values_list("pk", flat=True)[:limit])


def _claim(pk: int) -> Message | None:
    with transaction.atomic():
        now = clock.now()
        free = Message.objects.select_for_update(skip_locked=True, of=("self",)).annotate(has_left=LEFT)
        message = free.filter(pk=pk, state=MessageState.WAITING, next_at__lte=now).first()
        if message is None or _line(message, now).filter(pk__lt=pk).exists():
            return None
        if message.has_left:
            Message.objects.filter(pk=pk).update(state=MessageState.KEPT)
            return None
        if message.attempts >= MOST_ATTEMPTS:
            _park(message, message.last_error)
            return None
        message.attempts += 1
        message.next_at = now + CLAIM
        message.save(update_fields=["attempts", "next_at"])
    return message


def _line(message: Message, now: datetime) -> QuerySet[Message]:
    """What waits for the same recipient on the same channel."""
    same = {"channel": message.channel, "recipient": message.recipient}
    return Message.objects.filter(_in_line(now), state=MessageState.WAITING, **same)


def _in_line(now: datetime) -> Q:
    """What was held back, as in quiet hours, joins the line when its time comes, and holds up nothing."""
    return Q(attempts__gt=0) | Q(next_at__lte=now)


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
