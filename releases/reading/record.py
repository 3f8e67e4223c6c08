"""The record of one release in words: who did what, when and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from portal.audit.actions import ACTIONS
from portal.audit.models import AuditEntry
from portal.audit.queries import body_of
from portal.outbox.models import Message
from portal.people.models import User
from portal.sentences import said
from portal.ui.looks import STATES
from releases import observations
from releases.models import Release

SHOWN = 60
# Dozens in each rollout, and shown on its page; the whole record has them.
AS_PLANNED = frozenset({"step.waiting", "step.ready", "step.running", "step.acted", "step.succeeded"})


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One act of the record.

    Attributes:
        who: None where the portal acted by itself.
        giver: for whom it was decided, by delegation.
    """

    number: int | None
    at: datetime
    who: User | None
    name: str
    action: str
    what: str
    reason: str
    state: str
    door: str
    giver: User | None = None


def record_of(release: Release, *, limit: int = SHOWN) -> list[Entry]:
    """The newest acts on the release and on what belongs to it, without the steps that went as planned."""
    told = AuditEntry.objects.filter(release=release.number).exclude(action__in=AS_PLANNED)
    rows = list(told.order_by("-id")[:limit])
    bodies = [(row, body_of(row)) for row in rows]
    names = {name for row, body in bodies for name in (row.actor, _giver(body))}
    people = {user.username: user for user in User.objects.filter(username__in=names)}
    return [_entry(row, body, people) for row, body in bodies]


def notices_of(release: Release) -> list[Message]:
    """Messages that the release caused, newest first."""
    mine = Q(key__startswith=f"release.{release.number}.")
    return list(Message.objects.filter(mine).defer("body").order_by("-id")[:SHOWN])


def _giver(body: Mapping[str, Any]) -> str:
    return str(body["actor"].get("on_behalf_of") or "")


def _entry(row: AuditEntry, body: Mapping[str, Any], people: Mapping[str, User]) -> Entry:
    verb = row.action.partition(".")[2]
    return Entry(
        number=row.number,
        at=row.at,
        who=people.get(row.actor),
        name=row.actor,
        action=row.action,
        what=str(ACTIONS.get(row.action, row.action)),
        reason=said(body["after"], observations.reason(str(body.get("reason") or ""))),
        state=verb if verb in STATES else "",
        door=str(body["actor"].get("door") or ""),
        giver=people.get(_giver(body)),
    )
