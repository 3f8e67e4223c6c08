"""Removing the beginning of the record after years (attacks.md, section 2): whole signed periods only.

The checkpoints stay, and an entry says what was removed, so that the rest still verifies: from the checkpoint
at the end of what is gone. Only the owner of the table can do it; the application's own role cannot.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import OperationalError, ProgrammingError, connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from portal import clock
from portal.actors import Actor
from portal.audit import export, operations, queries
from portal.audit.models import AuditEntry, Checkpoint
from portal.audit.record import record
from portal.audit.verifier import REMOVED_ACTION
from portal.errors import Conflict, Invalid, NotAllowed

# The numbers of the releases whose entries are needed still, given that all before a time may go.
KEEPERS: list[Callable[[datetime], QuerySet[Any, int]]] = []
# How long the owner waits for acts that are being recorded; they wait for the removal in turn.
PATIENCE = "10s"
ALLOW = "ALTER TABLE audit_auditentry DISABLE TRIGGER audit_guard"
FORBID = "ALTER TABLE audit_auditentry ENABLE TRIGGER audit_guard"
REMOVE = "DELETE FROM audit_auditentry WHERE number <= %s"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What may go: entries `first` to `last`, all signed before `before`; nothing where `last` is None.

    Attributes:
        held_by: a release that is open or ended later, for which older entries stay; None where none does.
    """

    before: datetime
    first: int
    last: int | None
    held_by: int | None

    @property
    def entries(self) -> int:
        """How many."""
        return 0 if self.last is None else self.last - self.first + 1


def years_kept() -> int:
    """For how many years entries are kept; 0 keeps everything."""
    return int(settings.AUDIT_KEEP_YEARS)


def plan(years: int) -> Plan:
    """What may be removed now when entries are kept for so many years.

    Raises:
        Invalid: less than a year.
    """
    if years < 1:
        raise Invalid(_("Entries are kept for a year at least. Set AUDIT_KEEP_YEARS, or name the years."))
    before = _ago(years)
    first, newest = _ends()
    needed, held_by = _needed(before)
    old = Checkpoint.objects.filter(at__lt=before, number__gte=first, number__lt=newest).order_by("-number")
    free = old if needed is None else old.filter(number__lt=needed)
    last = free.values_list("number", flat=True).first()
    is_held = old.values_list("number", flat=True).first() != last
    return Plan(before=before, first=first, last=last, held_by=held_by if is_held else None)


def remove(years: int, *, actor: Actor) -> Plan:
    """Remove it, after verifying that the record is whole: what is broken is evidence.

    Raises:
        Invalid: less than a year.
        Conflict: there is nothing to remove, the record is broken, or somebody is recording for too long.
        NotAllowed: the database role does not own the table.
    """
    _require_something(plan(years))
    result = operations.verify_chain()
    if result.fault is not None:
        raise Conflict(_("The record is broken: {text}").format(text=result.fault.sentence(_)))
    try:
        with transaction.atomic():
            return _remove(years, actor=actor)
    except ProgrammingError as error:
        text = _("Only the owner of the record's table removes from it. Connect as the role that migrates.")
        raise NotAllowed(text) from error
    except OperationalError as error:
        raise Conflict(_("Others are recording right now. Try again in a moment.")) from error


def _remove(years: int, *, actor: Actor) -> Plan:
    operations.lock_signing()
    keys = sorted(set(export.public_keys().values()))
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'")
        cursor.execute(ALLOW)
        found = plan(years)
        last = _require_something(found)
        cursor.execute(REMOVE, [last])
        cursor.execute(FORBID)
    head = Checkpoint.objects.get(number=last).head
    record(
        REMOVED_ACTION,
        actor=actor,
        subject=("record", str(last)),
        after={"first": found.first, "last": last, "head": head, "years": years, "public_keys": keys},
    )
    return found


def _require_something(found: Plan) -> int:
    if found.last is None:
        raise Conflict(_("There is nothing to remove."))
    return found.last


def _ago(years: int) -> datetime:
    now = clock.now().astimezone(UTC)
    day = 28 if (now.month, now.day) == (2, 29) else now.day
    return now.replace(year=now.year - years, day=day)


def _ends() -> tuple[int, int]:
    """The first and the newest number; the newest entry always stays, as the next one hangs on it."""
    newest = queries.head()
    first = queries.entries().order_by("number").values_list("number", flat=True).first()
    return first or 1, (newest.number or 0) if newest else 0


def _needed(before: datetime) -> tuple[int | None, int | None]:
    """The first entry that a release needs still, and which release that is."""
    firsts: list[tuple[int, int]] = []
    for keeper in KEEPERS:
        mine = AuditEntry.objects.filter(number__isnull=False, release__in=keeper(before))
        lowest = mine.order_by("number").values_list("number", "release").first()
        if lowest is not None:
            firsts.append((lowest[0] or 0, lowest[1] or 0))
    return min(firsts, default=(None, None))
