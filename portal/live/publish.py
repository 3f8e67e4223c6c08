"""Writing events: numbered under the topic's row lock, so numbers commit in order and without gaps."""

from collections.abc import Iterable
from typing import Any

from django.db import connection, transaction

from portal.live.bell import ring
from portal.live.models import Event

# One statement: the number, the time and the row; the topic's row stays locked until commit.
WRITE = """
WITH numbered AS (
    INSERT INTO live_topic (name, last) VALUES (%s, 1)
    ON CONFLICT (name) DO UPDATE SET last = live_topic.last + 1 RETURNING name, last
)
INSERT INTO live_event (topic_id, number, at, kind, data)
SELECT name, last, clock_timestamp(), %s, %s FROM numbered RETURNING id, number, at
"""


def publish(topic: str, kind: str, data: dict[str, Any]) -> Event:
    """Write one event in the present transaction and wake the hubs once it has committed.

    Topics are locked until commit: where one transaction writes to several, take them in the order
    release, rollout.
    """
    event = Event(topic_id=topic, kind=kind, data=data)
    stored = Event._meta.get_field("data").get_db_prep_save(data, connection)
    with connection.cursor() as cursor:
        cursor.execute(WRITE, [topic, kind, stored])
        event.pk, event.number, event.at = cursor.fetchone()
    transaction.on_commit(lambda: ring(topic))
    return event


def touch(topic: str, kind: str = "changed", data: dict[str, Any] | None = None) -> None:
    """Publish after commit, in a transaction of its own: for shared streams that only say "read again"."""

    def write() -> None:
        with transaction.atomic():
            publish(topic, kind, data or {})

    transaction.on_commit(write)


def touch_each(topics: Iterable[str]) -> None:
    """Touch several streams in one transaction; in the order of their names, so that two never deadlock."""
    names = sorted(set(topics))

    def write() -> None:
        with transaction.atomic():
            for name in names:
                publish(name, "changed", {})

    transaction.on_commit(write)
