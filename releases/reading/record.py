"""The record of one release in words: who did what, when and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from portal.audit.actions import ACTIONS
from portal.audit.models import AuditEntry
from portal.audit.queries import body_of
from portal.outbox.models import Message
from portal.people.models import User
from portal.ui.looks import STATES
from releases.models import Release

SHOWN = 60
# Dozens in each rollout, and shown on its page; the whole record has them.
AS_PLANNED = frozenset({"step.waiting", "step.ready", "step.running", "step.acted", "step.succeeded"})


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One act of the record; `who` is None where the portal acted by itself."""

    number: int | None
    at: datetime
    who: User | None
    name: str
    action: str
    what: str
    reason: str
    state: str
    door: str


def record_of(release: Release, *, limit: int = SHOWN) -> list[Entry]:
    """The newest acts on the release and on what belongs to it, without the steps that went as planned."""
    told = AuditEntry.objects.filter(release=release.number).exclude(action__in=AS_PLANNED)
    rows = list(told.order_by("-id")[:limit])
    people = {user.username: user for user in User.objects.filter(username__in={row.actor for row in rows})}
    return [_entry(row, people) for row in rows]


def notices_of(release: Release) -> list[Message]:
    """Messages that the release caused, newest first."""
    mine = Q(key__startswith=f"release.{release.number}.")
    return list(Message.objects.filter(mine).defer("body").order_by("-id")[:SHOWN])


def _entry(row: AuditEntry, people: Mapping[str, User]) -> Entry:
    body = body_of(row)
    verb = row.action.partition(".")[2]
    return Entry(
        number=row.number,
        at=row.at,
        who=people.get(row.actor),
        name=row.actor,
        action=row.action,
        what=str(ACTIONS.get(row.action, row.action)),
        reason=str(body.get("reason") or ""),
        state=verb if verb in STATES else "",
        door=str(body["actor"].get("door") or ""),
    )
