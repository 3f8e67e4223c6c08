"""The record as JSON Lines: each line holds what its digest was made from."""

import json
from collections.abc import Iterator

from portal.audit.models import AuditEntry
from portal.audit.queries import Search, entries

MEDIA_TYPE = "application/jsonl"
CHUNK = 2000


def lines(search: Search | None = None) -> Iterator[str]:
    """The matching entries in the order of the chain, one JSON object a line."""
    for entry in entries(search).order_by("number").iterator(chunk_size=CHUNK):
        yield line(entry) + "\n"


def line(entry: AuditEntry) -> str:
    """One entry; `entry` is the text that was hashed, so that a reader can hash it again."""
    head = {"number": entry.number, "previous": entry.previous, "digest": entry.digest}
    return f'{json.dumps(head)[:-1]}, "entry": {entry.body}}}'
