"""Appending to the record: in the transaction of the act, or the act did not happen."""

from datetime import UTC
from typing import Any

import rfc8785
from django.db import connection

from portal import clock
from portal.actors import Actor
from portal.audit.actions import ACTIONS
from portal.audit.models import AuditEntry


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
    reason: str = "",
    content_digest: str = "",
    release: int | None = None,
    service: str = "",
    on_behalf_of: str = "",
) -> AuditEntry:
    """Write one entry; the database numbers and chains it when the transaction commits.

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
    at = clock.now()
    body = {
        "action": action,
        "actor": _described(actor, on_behalf_of),
        "after": after or {},
        "at": at.astimezone(UTC).isoformat(timespec="microseconds"),
        "before": before or {},
        "content_digest": content_digest,
        "reason": reason,
        "release": release,
        "service": service,
        "subject": {"key": subject[1], "kind": subject[0]},
    }
    return AuditEntry.objects.create(
        at=at,
        actor=actor.name,
        action=action,
        subject_kind=subject[0],
        subject=subject[1],
        release=release,
        service=service,
        body=rfc8785.dumps(body).decode(),
    )


def _described(actor: Actor, on_behalf_of: str) -> dict[str, str]:
    return {
        "address": actor.address,
        "cause": actor.cause,
        "door": actor.door,
        "name": actor.name,
        "on_behalf_of": on_behalf_of,
        "token": actor.token,
    }
