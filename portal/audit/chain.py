"""Checking the chain: from the first entry to the last, naming the first that does not hold."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Max
from django.utils.translation import gettext as _

from portal.audit.models import AuditEntry

BEGINNING = "0" * 64
CHUNK = 2000


@dataclass(frozen=True)
class Fault:
    """The first bad entry: its number and whether it was changed, removed, inserted or reordered."""

    number: int
    kind: str
    text: str


@dataclass(frozen=True)
class Result:
    """What a check of the whole chain found; `head` is the digest of the last good entry."""

    entries: int
    head: str
    fault: Fault | None = None


def check_chain() -> Result:
    """Check every entry of the database."""
    rows = AuditEntry.objects.filter(number__isnull=False).order_by("number")
    result = check_entries(rows.iterator(chunk_size=CHUNK))
    loose = AuditEntry.objects.filter(number=None).order_by("id").first()
    if result.fault is None and loose is not None:
        text = _("An entry by {actor} stands outside the chain.").format(actor=loose.actor)
        return Result(result.entries, result.head, Fault(result.entries + 1, "inserted", text))
    return result


def check_entries(rows: Iterable[AuditEntry]) -> Result:
    """Check entries given in the order of their numbers."""
    count, previous = 0, BEGINNING
    for entry in rows:
        fault = _fault(entry, number=count + 1, previous=previous)
        if fault is not None:
            return Result(count, previous, fault)
        assert entry.digest is not None
        count, previous = count + 1, entry.digest
    return Result(count, previous)


def digest_of(entry: AuditEntry) -> str:
    """The digest that an entry's text, number and predecessor give."""
    return _digest(entry, number=entry.number or 0)


def _digest(entry: AuditEntry, *, number: int) -> str:
    form = f'{{"entry":{entry.body},"number":{number},"previous":"{entry.previous}"}}'
    return hashlib.sha256(form.encode()).hexdigest()


def _fault(entry: AuditEntry, *, number: int, previous: str) -> Fault | None:
    if entry.number != number:
        text = _("Entries {first} to {last} were removed.").format(first=number, last=(entry.number or 0) - 1)
        return Fault(number, "removed", text)
    if digest_of(entry) != entry.digest:
        return _broken_seal(entry, number=number)
    if entry.previous != previous:
        return _broken_link(entry, number=number)
    if not _columns_agree(entry):
        text = _("What entry {number} is found by was changed; its text is whole.").format(number=number)
        return Fault(number, "changed", text)
    return None


def _broken_seal(entry: AuditEntry, *, number: int) -> Fault:
    """The entry does not agree with itself, unless it once stood under another number."""
    head = AuditEntry.objects.aggregate(highest=Max("number"))["highest"] or 0
    stood = next(
        (place for place in range(1, head + 1) if _digest(entry, number=place) == entry.digest), None
    )
    if stood is None:
        return Fault(number, "changed", _("Entry {number} was changed.").format(number=number))
    text = _("Entry {number} stood at {place}.").format(number=number, place=stood)
    return Fault(number, "reordered", text)


def _broken_link(entry: AuditEntry, *, number: int) -> Fault:
    """The entry agrees with itself but not with the one before it: another stood there, or none."""
    if AuditEntry.objects.filter(digest=entry.previous).exists() or entry.previous == BEGINNING:
        return Fault(number, "reordered", _("Entry {number} stood elsewhere.").format(number=number))
    text = _("Entry {number} was inserted, or the one before it was exchanged.").format(number=number)
    return Fault(number, "inserted", text)


def _columns_agree(entry: AuditEntry) -> bool:
    body = json.loads(entry.body)
    searched = (entry.actor, entry.action, entry.subject_kind, entry.subject, entry.release, entry.service)
    written = (
        body["actor"]["name"],
        body["action"],
        body["subject"]["kind"],
        body["subject"]["key"],
        body["release"],
        body["service"],
    )
    return searched == written and entry.at.isoformat(timespec="microseconds") == body["at"]
