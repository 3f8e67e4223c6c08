"""The record as a stream: JSON Lines, CSV, or a bundle that verifies itself without the portal."""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from portal.audit import checkpoints, verifier
from portal.audit.models import AuditEntry, Checkpoint
from portal.audit.queries import Search, body_of, entries

CHUNK = 2000
PIECE_BYTES = 64 * 1024
MEDIA_TYPES = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8", "bundle": "application/zip"}
FILES = {"jsonl": "record.jsonl", "csv": "record.csv", "bundle": "record.zip"}
# A cell that begins with one of these is a formula to a spreadsheet.
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")
COLUMNS = (
    "number",
    "at",
    "actor",
    "on_behalf_of",
    "door",
    "address",
    "token",
    "cause",
    "action",
    "subject_kind",
    "subject",
    "release",
    "service",
    "reason",
    "content_digest",
    "before",
    "after",
    "previous",
    "digest",
)
README = Path(__file__).with_name("bundle_readme.md")


def written(form: str, search: Search | None = None) -> Iterator[bytes]:
    """The matching entries in the order of the chain, in pieces of a fixed size whatever their number.

    Args:
        form: jsonl, csv or bundle; a bundle is always the whole record.
    """
    makers: dict[str, Callable[[], Iterator[bytes]]] = {
        "jsonl": lambda: _pieces(map(str.encode, lines(search))),
        "csv": lambda: _pieces(_csv(search)),
        "bundle": bundle,
    }
    return makers[form]()


def lines(search: Search | None = None) -> Iterator[str]:
    """The matching entries as JSON Lines."""
    for entry in _read(search):
        yield line(entry) + "\n"


def line(entry: AuditEntry) -> str:
    """One entry; `entry` is the text that was hashed, so that a reader can hash it again."""
    head = {"number": entry.number, "previous": entry.previous, "digest": entry.digest}
    return f'{json.dumps(head)[:-1]}, "entry": {entry.body}}}'


def bundle() -> Iterator[bytes]:
    """A zip of the whole record with its checkpoints, public keys and verifier, made while it is sent."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, text in _bundled():
            with archive.open(name, "w", force_zip64=True) as file:
                for piece in _pieces(text):
                    file.write(piece)
                    yield from sink.taken()
            yield from sink.taken()
    yield from sink.taken()


def _bundled() -> Iterator[tuple[str, Iterator[bytes]]]:
    yield "README.md", iter([README.read_bytes()])
    yield "verify.py", iter([Path(verifier.__file__).read_bytes()])
    # Before the entries: one that is made meanwhile would name entries that are not in here.
    yield "checkpoints.jsonl", _checkpoints()
    yield "entries.jsonl", map(str.encode, lines())
    yield "keys.json", iter([json.dumps(public_keys(), indent=1).encode()])


def _checkpoints() -> Iterator[bytes]:
    for checkpoint in Checkpoint.objects.order_by("number").iterator(chunk_size=CHUNK):
        yield f"{checkpoints.line(checkpoint)}\n".encode()


def public_keys() -> dict[str, str]:
    """The public keys that the chain introduces, those of a removed beginning too, in hex by their names."""
    found = entries(Search(action=verifier.KEY_ACTION)).order_by("number")
    keys = {entry.subject: str(body_of(entry)["after"].get("public_key", "")) for entry in found}
    removed = entries(Search(action=verifier.REMOVED_ACTION)).first()
    removal = verifier.removal_in(body_of(removed)) if removed else None
    return {verifier.key_id(public): public for public in (removal.keys if removal else ())} | keys


def _csv(search: Search | None) -> Iterator[bytes]:
    yield _csv_line(COLUMNS)
    for entry in _read(search):
        yield _csv_line([_cell(value) for value in _values(entry)])


def _csv_line(cells: Iterable[object]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode()


def _values(entry: AuditEntry) -> Iterator[Any]:
    body = body_of(entry)
    known = {
        **body,
        **body["actor"],
        "actor": body["actor"]["name"],
        "subject_kind": body["subject"]["kind"],
        "subject": body["subject"]["key"],
        "number": entry.number,
        "previous": entry.previous,
        "digest": entry.digest,
    }
    return (known[name] for name in COLUMNS)


def _cell(value: Any) -> str:
    text = (
        json.dumps(value, ensure_ascii=False)
        if isinstance(value, dict)
        else str("" if value is None else value)
    )
    return f"'{text}" if text.startswith(FORMULAS) else text


def _read(search: Search | None) -> Iterator[AuditEntry]:
    """In pages by number: nothing is held open in the database while a slow reader takes its time."""
    found, last = entries(search).order_by("number"), 0
    while page := list(found.filter(number__gt=last)[:CHUNK]):
        yield from page
        last = page[-1].number or 0


def _pieces(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Gather small parts: a write for each line would cost more than the lines."""
    gathered = bytearray()
    for part in parts:
        gathered += part
        if len(gathered) >= PIECE_BYTES:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


class _Sink(io.RawIOBase):
    """What a zip is written to: gives away what it has got so far."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        return len(data)

    def taken(self) -> Iterator[bytes]:
        if self._held:
            piece = bytes(self._held)
            self._held.clear()
            yield piece
