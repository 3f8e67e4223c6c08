"""Writing events: numbered under the topic's row lock, so numbers commit in order and without gaps."""

import json
from collections.abc import Iterable
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction

from portal.holding import Row, as_json, hold_or_write, holding
from portal.live.bell import ring

# One statement: the number, the time and the row; the topic's row stays locked until commit.
WRITE = """
WITH numbered AS (
    INSERT INTO live_topic (name, last) VALUES (%s, 1)
    ON CONFLICT (name) DO UPDATE SET last = live_topic.last + 1 RETURNING name, last
)
INSERT INTO live_event (topic_id, number, at, kind, data)
SELECT name, last, clock_timestamp(), %s, %s::jsonb FROM numbered RETURNING number
"""
# The same for several, which would take longer for one.
WRITE_SEVERAL = """
WITH given AS (
    SELECT topic, kind, data, row_number() OVER own AS rank, count(*) OVER (PARTITION BY topic) AS total
    FROM ROWS FROM (json_to_recordset(%s) AS (topic text, kind text, data text)) WITH ORDINALITY
         AS given (topic, kind, data, place)
    WINDOW own AS (PARTITION BY topic ORDER BY place)
), numbered AS (
    INSERT INTO live_topic (name, last) SELECT topic, count(*) FROM given GROUP BY topic ORDER BY topic
    ON CONFLICT (name) DO UPDATE SET last = live_topic.last + EXCLUDED.last RETURNING name, last
)
INSERT INTO live_event (topic_id, number, at, kind, data)
SELECT name, last - total + rank, clock_timestamp(), kind, data::jsonb
FROM given JOIN numbered ON name = topic ORDER BY name, rank RETURNING number
"""


def publish(topic: str, kind: str, data: dict[str, Any]) -> None:
    """Write one event in the present transaction and wake the hubs once it has committed.

    Topics are locked until commit: where one transaction writes to several, take them in the order
    release, rollout. A block that holds rows writes all its events together, topics in the order of names.
    """
    hold_or_write(_write, _row(topic, kind, data))


def publish_now(topic: str, kind: str, data: dict[str, Any]) -> int:
    """Write one event as `publish` does, held or not; returns its number."""
    (number,) = _write([_row(topic, kind, data)])
    return number


def _row(topic: str, kind: str, data: dict[str, Any]) -> Row:
    return (topic, kind, json.dumps(data, cls=DjangoJSONEncoder))


def _write(events: list[Row]) -> list[int]:
    with connection.cursor() as cursor:
        if len(events) == 1:
            cursor.execute(WRITE, events[0])
        else:
            cursor.execute(WRITE_SEVERAL, [as_json(("topic", "kind", "data"), events)])
        numbers = [number for (number,) in cursor.fetchall()]
    topics = sorted({topic for topic, _kind, _data in events})
    transaction.on_commit(lambda: ring(topics))
    return numbers


def touch(topic: str, kind: str = "changed", data: dict[str, Any] | None = None) -> None:
    """Publish after commit, in a transaction of its own: for shared streams that only say "read again".

    What a block that holds rows touches is written together, and what says the same once.
    """
    hold_or_write(_write_after_commit, _row(topic, kind, data or {}))


def touch_each(topics: Iterable[str]) -> None:
    """Touch several streams in one transaction; in the order of their names, so that two never deadlock."""
    with holding():
        for name in set(topics):
            touch(name)


def _write_after_commit(events: list[Row]) -> None:
    once = list(dict.fromkeys(events))
    # One statement is a transaction of its own.
    transaction.on_commit(lambda: _write(once))
