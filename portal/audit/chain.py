"""Checking the chain of the database, with every checkpoint that is known here or was received elsewhere."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from portal.audit import checkpoints, keys, queries, verifier
from portal.audit.models import AuditEntry, Checkpoint
from portal.audit.verifier import Chain, Removal, Result, Row

# Few enough that what a walk holds meanwhile is small beside the worker it runs in.
CHUNK = 500
# What an entry is found by; its text says the same.
SEARCHED = ("actor", "action", "subject_kind", "subject", "release", "service", "at")
COLUMNS = ("number", "previous", "digest", "body", *SEARCHED)


class Walk:
    """A walk along the chain in pieces: `as_json` is what another process needs to go on.

    Args:
        received: checkpoints that came back from outside, such as those of a saved mail.
        so_far: what an earlier walk had come to.
    """

    def __init__(
        self, received: Iterable[Mapping[str, Any]] = (), *, so_far: Mapping[str, Any] | None = None
    ) -> None:
        signer = keys.signer()
        # Before the rows: what is signed meanwhile would name entries that are not read here.
        passed = verifier.last_of(so_far) if so_far else 0
        known = Checkpoint.objects.filter(number__gt=passed).order_by("number")
        self._chain = Chain(
            _InDatabase(),
            [*map(checkpoints.as_json, known.iterator(chunk_size=CHUNK)), *checkpoints.logged(), *received],
            keys=[signer.public] if signer else (),
            removal=_removal(),
            so_far=so_far,
        )
        self._begun = so_far is not None

    def go(self, most: int) -> bool:
        """Check so many entries further on; returns whether that was all, `result` says what was found.

        Args:
            most: entries.
        """
        columns = _Columns()
        result = self._chain.go(columns.rows(self._after(), most), columns.agree)
        if result.fault is not None:
            self._chain.end()
            return True
        if columns.read == most:
            self._begun = True
            return False
        self._end()
        return True

    @property
    def result(self) -> Result:
        """What was found so far."""
        return self._chain.result

    def as_json(self) -> dict[str, Any]:
        """All that must be known to go on from here."""
        return self._chain.as_json()

    def _after(self) -> int | None:
        """The number behind which to read on; None from the very first row, whatever its number."""
        return self.result.last if self._begun else None

    def _end(self) -> None:
        result = self._chain.end()
        if result.fault is None and AuditEntry.objects.filter(number=None).exists():
            result.fault = verifier.Fault(result.last + 1, "loose", {"last": result.last})


def check_chain(received: Iterable[Mapping[str, Any]] = ()) -> Result:
    """Check every entry of the database and every checkpoint.

    Args:
        received: checkpoints that came back from outside, such as those of a saved mail.
    """
    walk = Walk(received)
    while not walk.go(CHUNK):
        pass
    return walk.result


def row_of(entry: AuditEntry) -> Row:
    """An entry as the verifier takes it."""
    return Row(entry.number or 0, entry.previous or "", entry.digest or "", entry.body)


def _removal() -> Removal | None:
    """What was removed by rule before the first entry; None where nothing is missing there."""
    numbered = AuditEntry.objects.filter(number__isnull=False)
    first = numbered.order_by("number").values_list("number", flat=True).first() or 1
    if first == 1:
        return None
    removals = numbered.filter(action=verifier.REMOVED_ACTION).order_by("-number")
    found = (verifier.removal_in(queries.body_of(entry)) for entry in removals)
    return next((each for each in found if each is not None and each.last == first - 1), None)


class _Columns:
    """Hands out the rows in their order, and compares each with its columns while it is the newest."""

    def __init__(self) -> None:
        self.read = 0
        self._searched: Sequence[Any] = ()

    def rows(self, after: int | None, most: int) -> Iterator[Row]:
        """So many rows behind a number; nothing is held open in the database between the chunks."""
        while self.read < most:
            found = AuditEntry.objects.filter(number__isnull=False).order_by("number")
            if after is not None:
                found = found.filter(number__gt=after)
            page = list(found.values_list(*COLUMNS)[: min(CHUNK, most - self.read)])
            for number, previous, digest, body, *self._searched in page:
                self.read += 1
                after = number
                yield Row(number, previous or "", digest or "", body)
            if len(page) < CHUNK:
                return

    def agree(self, row: Row) -> bool:
        body = queries.read_body(row.text)
        subject = body["subject"]
        written = [body["actor"]["name"], body["action"], subject["kind"], subject["key"]]
        written += [body["release"], body["service"]]
        *searched, at = self._searched
        assert isinstance(at, datetime)
        return searched == written and at.isoformat(timespec="microseconds") == body["at"]


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
