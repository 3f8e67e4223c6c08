"""What loading a set of documents would change: pure, shown before anything is written."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from releases.catalog.documents import Document

Key = tuple[str, str]
SHOWN = 120


@dataclass(frozen=True)
class Stored:
    """A document as the portal holds it.

    Attributes:
        root: the folder it was loaded from; documents are only ever removed by that folder's own files.
    """

    kind: str
    name: str
    root: str
    file: str
    position: int
    text: str
    source: dict[str, Any]

    @property
    def key(self) -> Key:
        """Kind and name."""
        return (self.kind, self.name)


@dataclass(frozen=True)
class FieldChange:
    """One value inside a document, before and after; None where it was or is not there."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Change:
    """What happens to one document."""

    kind: str
    name: str
    fields: tuple[FieldChange, ...] = ()


@dataclass
class Difference:
    """Everything that loading would do.

    Attributes:
        reformatted: documents whose meaning stays while their text or place changes.
        absent: loaded before from the same folder, no longer in it; removed only when asked to prune.
        proposed: a policy that differs from the one in force: loading asks for signatures.
        waiting: the same while another change of the policy waits for its signatures, or is not to be made.
    """

    root: str
    added: list[Change] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    removed: list[Change] = field(default_factory=list)
    reformatted: list[Change] = field(default_factory=list)
    absent: list[Change] = field(default_factory=list)
    proposed: list[Change] = field(default_factory=list)
    waiting: list[Change] = field(default_factory=list)
    unchanged: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether loading would write nothing."""
        return not (self.added or self.changed or self.removed or self.reformatted or self.proposed)

    def lines(self) -> Iterator[str]:
        """The difference for people, one change a line."""
        for each in self.added:
            yield f"+ {each.kind} {each.name}"
        for each in self.changed:
            yield f"~ {each.kind} {each.name}"
            yield from _field_lines(each)
        for each in self.removed:
            yield f"- {each.kind} {each.name}"
        for each in self.reformatted:
            yield _("= %(kind)s %(name)s: only its text or place changes") % vars(each)
        for each in self.absent:
            yield _("? %(kind)s %(name)s: no longer in the files, kept (removed with --prune)") % vars(each)
        for each in self.proposed:
            yield _("! %(kind)s %(name)s: proposed, in force once it is signed (page /policy/)") % vars(each)
            yield from _field_lines(each)
        for each in self.waiting:
            yield _("! %(kind)s %(name)s: left as it is in force (page /policy/)") % vars(each)
        counts = {name: len(getattr(self, name)) for name in ("added", "changed", "removed")}
        yield _("%(added)d added, %(changed)d changed, %(removed)d removed, %(same)d unchanged") % {
            **counts,
            "same": self.unchanged,
        }


def _field_lines(change: Change) -> Iterator[str]:
    for each in change.fields:
        yield f"    {each.path}: {_short(each.before)} → {_short(each.after)}"


def _short(value: Any) -> str:
    if value is None:
        return "–"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def difference(
    documents: Iterable[Document], stored: Mapping[Key, Stored], *, root: str, prune: bool
) -> Difference:
    """Compare documents with those held."""
    found = Difference(root)
    present: set[Key] = set()
    for each in documents:
        present.add((each.kind, each.name))
        _place(found, each, stored.get((each.kind, each.name)))
    for key, old in sorted(stored.items()):
        # The policy in force cannot be taken away, only replaced.
        if old.root == root and key not in present:
            (found.removed if prune and old.kind != "Policy" else found.absent).append(Change(*key))
    return found


def _place(found: Difference, document: Document, old: Stored | None) -> None:
    change = Change(document.kind, document.name)
    if old is None:
        found.added.append(change)
        return
    fields = tuple(_fields("", old.source, document.value))
    if fields:
        found.changed.append(Change(document.kind, document.name, fields))
        return
    found.unchanged += 1
    if (old.root, old.file, old.position, old.text) != (
        found.root,
        document.file,
        document.position,
        document.text,
    ):
        found.reformatted.append(change)


def _fields(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from _fields(f"{path}.{key}" if path else key, before.get(key), after.get(key))
        return
    both_lists = isinstance(before, list) and isinstance(after, list)
    if both_lists and len(before) == len(after) and any(isinstance(each, dict) for each in before):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _fields(f"{path}[{index}]", old, new)
        return
    # In Python 1, 1.0 and True are equal; in a document they are not the same.
    if json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True):
        yield FieldChange(path, before, after)
