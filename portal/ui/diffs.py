"""Differences between two texts as rows that a template can draw."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

CONTEXT_LINES = 3


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One line: kind is "same", "added", "removed" or "gap"; numbers count from 1."""

    kind: str
    text: str = ""
    old_number: int | None = None
    new_number: int | None = None

    @property
    def sign(self) -> str:
        """The mark that tells the kind without colour."""
        return {"added": "+", "removed": "−"}.get(self.kind, "")


def diff_rows(old: str, new: str) -> list[DiffRow]:
    """Compare two texts line by line, with three lines of context; equal texts give no rows."""
    before, after = old.splitlines(), new.splitlines()
    matcher = SequenceMatcher(a=before, b=after, autojunk=False)
    rows: list[DiffRow] = []
    for group in matcher.get_grouped_opcodes(CONTEXT_LINES):
        if rows or group[0][1] > 0:
            rows.append(DiffRow("gap"))
        for tag, *bounds in group:
            rows.extend(_rows(tag, before=before, after=after, bounds=bounds))
    return rows


def _rows(tag: str, *, before: list[str], after: list[str], bounds: list[int]) -> Iterator[DiffRow]:
    old_from, old_to, new_from, new_to = bounds
    if tag == "equal":
        for offset, line in enumerate(before[old_from:old_to]):
            yield DiffRow("same", line, old_from + offset + 1, new_from + offset + 1)
        return
    for number, line in enumerate(before[old_from:old_to], start=old_from + 1):
        yield DiffRow("removed", line, number, None)
    for number, line in enumerate(after[new_from:new_to], start=new_from + 1):
        yield DiffRow("added", line, None, number)
