"""Writing events: numbered under the topic's row lock, so numbers commit in order and without gaps."""

from typing import Any

from django.db import connection, transaction

from portal import clock
from portal.live.bell import ring
from portal.live.models import Event


def publish(topic: str, kind: str, data: dict[str, Any]) -> Event:
    """Write one event in the present transaction and wake the hubs once it has committed.

    Topics are locked until commit: where one transaction writes to several, take them in the order
    release, rollout.
    """
    event = Event.objects.create(
        topic_id=topic, number=_next_number(topic), at=clock.now(), kind=kind, data=data
    )
    transaction.on_commit(lambda: ring(topic))
    return event


def touch(topic: str, kind: str = "changed", data: dict[str, Any] | None = None) -> None:
    """Publish after commit, in a transaction of its own: for shared streams that only say "read again"."""

    def write() -> None:
        with transaction.atomic():
            publish(topic, kind, data or {})

    transaction.on_commit(write)


def _next_number(topic: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO live_topic (name, last) VALUES (%s, 1)"
            " ON CONFLICT (name) DO UPDATE SET last = live_topic.last + 1 RETURNING last",
            [topic],
        )
        (number,) = cursor.fetchone()
    return int(number)
