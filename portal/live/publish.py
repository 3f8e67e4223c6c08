"""Writing events: numbered under the topic's row lock, so numbers commit in order and without gaps."""

import logging
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import connection, transaction
from redis.exceptions import RedisError

from portal import clock
from portal.live.models import Event

logger = logging.getLogger(__name__)
GROUP = "live"


def publish(topic: str, kind: str, data: dict[str, Any]) -> Event:
    """Write one event in the present transaction and wake the hubs once it has committed.

    Topics are locked until commit: where one transaction writes to several, take them in the order
    release, rollout.
    """
    event = Event.objects.create(
        topic_id=topic, number=_next_number(topic), at=clock.now(), kind=kind, data=data
    )
    transaction.on_commit(lambda: wake(topic))
    return event


def touch(topic: str, kind: str = "changed", data: dict[str, Any] | None = None) -> None:
    """Publish after commit, in a transaction of its own: for shared streams that only say "read again"."""

    def write() -> None:
        with transaction.atomic():
            publish(topic, kind, data or {})

    transaction.on_commit(write)


def wake(topic: str) -> None:
    """Tell the hubs that a topic grew; a queue out of reach costs a second, never an event."""
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        async_to_sync(layer.group_send)(GROUP, {"type": "grew", "topic": topic})
    except (RedisError, OSError) as error:
        logger.warning("live hubs out of reach: %s", error)


def _next_number(topic: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO live_topic (name, last) VALUES (%s, 1)"
            " ON CONFLICT (name) DO UPDATE SET last = live_topic.last + 1 RETURNING last",
            [topic],
        )
        (number,) = cursor.fetchone()
    return int(number)
