"""Appending to the record: in the transaction of the act, or the act did not happen."""

from typing import Any

from django.db import connection

from portal import clock
from portal.actors import Actor
from portal.audit.actions import ACTIONS
from portal.audit.canonical import canonical
from portal.holding import Row, as_json, hold_or_write
from portal.sentences import Text, why

# One statement, because nothing is written as often. The time is the database's, or counted on from it in a
# block that does so; it is put between the two halves of the text in the form of datetime.isoformat.
APPEND = """
INSERT INTO audit_auditentry (at, actor, action, subject_kind, subject, release, service, body)
SELECT present.at, %s, %s, %s, %s, %s, %s,
       %s || to_char(present.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') || %s
FROM (SELECT coalesce(%s::timestamptz, statement_timestamp()) AS at) AS present
"""
# The same for several; for one it would take half as long again.
APPEND_SEVERAL = """
INSERT INTO audit_auditentry (at, actor, action, subject_kind, subject, release, service, body)
SELECT present.at, actor, action, subject_kind, subject, release, service,
       opening || to_char(present.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') || ending
FROM ROWS FROM (json_to_recordset(%s) AS (
         actor text, action text, subject_kind text, subject text, release bigint, service text, opening text,
         ending text, counted timestamptz
     )) WITH ORDINALITY
     AS given (actor, action, subject_kind, subject, release, service, opening, ending, counted, place),
     LATERAL (SELECT coalesce(counted, statement_timestamp()) AS at) AS present
ORDER BY place
"""
COLUMNS = (
    "actor",
    "action",
    "subject_kind",
    "subject",
    "release",
    "service",
    "opening",
    "ending",
    "counted",
)


class UnknownAction(Exception):
    """The act is not in the registry."""


class NoTransaction(Exception):
    """An entry must be written in the transaction of its act."""


def record(
    action: str,
    *,
    actor: Actor,
    subject: tuple[str, str],
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: Text = "",
    content_digest: str = "",
    release: int | None = None,
    service: str = "",
    on_behalf_of: str = "",
) -> None:
    """Write one entry; the database numbers and chains it when the transaction commits.

    A block that holds rows writes all its entries together at its end, in the order of the acts.

    Args:
        action: a name from the registry.
        subject: kind and key of what was acted on, such as ("release", "145").
        before: the changed fields as they were; secrets never.
        after: the changed fields as they are.
        content_digest: the exact content concerned, "sha256:…".

    Raises:
        UnknownAction: the action is not registered.
        NoTransaction: called outside a transaction.
    """
    if action not in ACTIONS:
        raise UnknownAction(action)
    if not connection.in_atomic_block:
        raise NoTransaction(action)
    # The form sorts the keys: "at" stands behind those of the first half and before those of the second.
    first = {
        "action": action,
        "actor": _described(actor, on_behalf_of),
        "after": {**(after or {}), **why(reason)},
    }
    second = {
        "before": before or {},
        "content_digest": content_digest,
        "reason": str(reason),
        "release": release,
        "service": service,
        "subject": {"key": subject[1], "kind": subject[0]},
    }
    text = (f'{canonical(first)[:-1]},"at":"', f'",{canonical(second)[1:]}')
    hold_or_write(_append, (actor.name, action, *subject, release, service, *text, clock.counted()))


def _append(entries: list[Row]) -> None:
    with connection.cursor() as cursor:
        if len(entries) == 1:
            cursor.execute(APPEND, entries[0])
        else:
            cursor.execute(APPEND_SEVERAL, [as_json(COLUMNS, entries)])


def _described(actor: Actor, on_behalf_of: str) -> dict[str, str]:
    return {
        "address": actor.address,
        "cause": actor.cause,
        "door": actor.door,
        "name": actor.name,
        "on_behalf_of": on_behalf_of,
        "token": actor.token,
    }
