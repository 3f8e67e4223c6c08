"""Checking the chain of the database, with every checkpoint that is known here or was received elsewhere."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from portal.audit import checkpoints, keys, queries, verifier
from portal.audit.models import AuditEntry, Checkpoint
from portal.audit.verifier import Chain, Result, Row

CHUNK = 2000
COLUMNS = ("number", "previous", "digest", "body")
# What an entry is found by, and where its text says the same.
SEARCHED = ("actor", "action", "subject_kind", "subject", "release", "service")


def check_chain(received: Iterable[Mapping[str, Any]] = ()) -> Result:
    """Check every entry of the database and every checkpoint.

    Args:
        received: checkpoints that came back from outside, such as those of a saved mail.
    """
    known = [
        *map(checkpoints.as_json, Checkpoint.objects.order_by("number")),
        *checkpoints.logged(),
        *received,
    ]
    signer = keys.signer()
    chain = Chain(_InDatabase(), known, keys=[signer.public] if signer else ())
    columns = _Columns()
    result = chain.walk(columns.rows(), columns.agree)
    loose = AuditEntry.objects.filter(number=None).exists()
    if result.fault is None and loose:
        result.fault = verifier.Fault(result.entries + 1, "loose", {"last": result.entries})
    return result


def row_of(entry: AuditEntry) -> Row:
    """An entry as the verifier takes it."""
    return Row(entry.number or 0, entry.previous or "", entry.digest or "", entry.body)


class _Columns:
    """Hands out the rows in their order, and compares each with its columns while it is the newest."""

    def __init__(self) -> None:
        self._entry: AuditEntry | None = None

    def rows(self) -> Iterator[Row]:
        found = AuditEntry.objects.filter(number__isnull=False).order_by("number")
        for self._entry in found.iterator(chunk_size=CHUNK):
            yield row_of(self._entry)

    def agree(self, _row: Row) -> bool:
        entry = self._entry
        assert entry is not None
        body = queries.body_of(entry)
        searched = [getattr(entry, name) for name in SEARCHED]
        subject = body["subject"]
        written = [body["actor"]["name"], body["action"], subject["kind"], subject["key"]]
        written += [body["release"], body["service"]]
        return searched == written and entry.at.isoformat(timespec="microseconds") == body["at"]


class _InDatabase:
    """Answers where something is wrong."""

    def row(self, number: int) -> Row | None:
        entry = AuditEntry.objects.filter(number=number).first()
        return row_of(entry) if entry else None

    def follower_of(self, digest: str) -> int | None:
        return self._place(previous=digest)

    def place_of(self, digest: str) -> int | None:
        return self._place(digest=digest)

    def last(self) -> int:
        return (
            AuditEntry.objects.order_by("-number").exclude(number=None).values_list("number", flat=True)[0]
            or 0
        )

    def _place(self, **where: str) -> int | None:
        found = AuditEntry.objects.filter(**where).exclude(number=None).order_by("number")
        return found.values_list("number", flat=True).first()
