"""Reads catalog files safely: YAML 1.2's plain values, no tags, limits on size, depth and aliases.

Every problem is collected with its file and line, so that a person corrects them all at once.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from portal.errors import Invalid, Missing

FILE_BYTES = 1_000_000
TOTAL_BYTES = 8_000_000
FILES = 500
NAME_LENGTH = 250
DEPTH = 32
NODES = 50_000
# Beside the catalog in an example's folder: what the practice cluster and registry are filled with.
BESIDE = frozenset({"objects.yaml", "images.yaml"})
SUFFIXES = frozenset({".yaml", ".yml"})
BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong in a file, in words that say what was expected."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"

    def as_missing(self) -> Missing:
        """The form in which a door lists it."""
        return {
            "code": "file",
            "field": f"{self.file}:{self.line}",
            "file": self.file,
            "line": self.line,
            "text": self.text,
        }


@dataclass
class Document:
    """One document of a file: its value, where its parts stand, and its exact text.

    Attributes:
        lines: the line on which the value at a path begins.
        text: the slice of the file from this document's start to the next one's; joined, the slices are
            the file.
    """

    file: str
    position: int
    line: int
    value: Any = None
    lines: dict[Path_, int] = field(default_factory=dict)
    text: str = ""

    @property
    def kind(self) -> str:
        """Team, Service, …; empty when the document does not say."""
        kind = self.value.get("kind") if isinstance(self.value, dict) else ""
        return kind if isinstance(kind, str) else ""

    @property
    def name(self) -> str:
        """The name in its metadata; empty when the document has none."""
        metadata = self.value.get("metadata") if isinstance(self.value, dict) else None
        name = metadata.get("name") if isinstance(metadata, dict) else ""
        return name if isinstance(name, str) else ""

    @property
    def spec(self) -> dict[str, Any]:
        """What the document says about its object."""
        spec = self.value.get("spec") if isinstance(self.value, dict) else None
        return spec if isinstance(spec, dict) else {}

    def line_of(self, *path: str | int) -> int:
        """The line of the value at the path, or of the nearest part around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, self.line)

    def problem(self, text: str | Promise, *path: str | int) -> Problem:
        """Something wrong with the value at the path."""
        return Problem(self.file, self.line_of(*path), str(text))


def invalid(problems: Iterable[Problem]) -> Invalid:
    """All problems as one refusal; its detail lists them, one per line."""
    ordered = sorted(set(problems))
    return Invalid("\n".join(map(str, ordered)), missing=[each.as_missing() for each in ordered])


def read(path: Path) -> tuple[list[Document], list[Problem]]:
    """Read a file, or all catalog files under a folder, without raising for what is in them.

    Raises:
        Invalid: the path is not there, or holds more than the portal is willing to read.
    """
    documents: list[Document] = []
    problems: list[Problem] = []
    total = 0
    for file, name in _files(path):
        size = file.stat().st_size
        total += size
        if size > FILE_BYTES or total > TOTAL_BYTES:
            limit = FILE_BYTES if size > FILE_BYTES else TOTAL_BYTES
            problems.append(
                Problem(name, 1, _("Too large: at most %(limit)d bytes are read.") % {"limit": limit})
            )
            continue
        found, wrong = read_text(_decoded(file), name)
        documents += found
        problems += wrong
    return documents, problems


def _files(path: Path) -> list[tuple[Path, str]]:
    if path.is_file():
        return [(path, path.name)]
    if not path.is_dir():
        raise Invalid(_("There is no file or folder %(path)s.") % {"path": path})
    root = path.resolve()
    found = [
        (each, each.relative_to(path).as_posix())
        for each in sorted(path.rglob("*"))
        if each.suffix in SUFFIXES
        and each.name not in BESIDE
        and not any(part.startswith(".") for part in each.relative_to(path).parts)
        and not _in_chart(each, path)
        and each.is_file()
        and each.resolve().is_relative_to(root)
    ]
    if any(len(name) > NAME_LENGTH for _path, name in found):
        raise Invalid(_("A path in the folder is longer than %(limit)d characters.") % {"limit": NAME_LENGTH})
    if len(found) > FILES:
        raise Invalid(_("The folder holds more than %(limit)d files.") % {"limit": FILES})
    if not found:
        raise Invalid(_("There is no catalog file (*.yaml) in %(path)s.") % {"path": path})
    return found


def _in_chart(file: Path, root: Path) -> bool:
    """Whether a file is part of a Helm chart, which may lie beside the catalog that names it."""
    folders = [each for each in file.parents if each != root and each.is_relative_to(root)]
    return any((each / "Chart.yaml").is_file() for each in folders)


def _decoded(file: Path) -> str | None:
    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError:
        return None


def read_text(text: str | None, name: str) -> tuple[list[Document], list[Problem]]:
    """Read the documents of one file's text."""
    if text is None:
        return [], [Problem(name, 1, _("This is not UTF-8 text."))]
    reader = _Reader(name)
    try:
        reader.run(yaml.parse(text, Loader=yaml.CSafeLoader))
    except yaml.MarkedYAMLError as error:
        reader.refuse(
            error.problem_mark.line + 1 if error.problem_mark else 1,
            _("This is not valid YAML: %(problem)s.") % {"problem": error.problem},
        )
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, max(0, _offset(text, error))) + 1
        reader.refuse(line, _("A character that text may not hold."))
    except _TooMuch as error:
        reader.refuse(error.line, error.text)
    return _slice(reader.documents, text), reader.problems


def _offset(text: str, error: yaml.reader.ReaderError) -> int:
    """Where the bad character stands; the reader counts bytes."""
    return len(text.encode()[: error.position or 0].decode(errors="ignore"))


BREAK = re.compile(r"[^\n\r\x85\u2028\u2029]*(?:\r\n|[\n\r\x85\u2028\u2029])|[^\n\r\x85\u2028\u2029]+")


def _slice(documents: list[Document], text: str) -> list[Document]:
    """Share the text out; an empty document's text goes to its neighbour, so that nothing is lost."""
    full = [each for each in documents if each.value is not None]
    lines = BREAK.findall(text)
    starts = [0, *(each.line - 1 for each in full[1:]), len(lines)]
    for index, each in enumerate(full):
        each.position = index
        each.text = "".join(lines[starts[index] : starts[index + 1]])
    return full


class _TooMuch(Exception):
    """A limit that ends the reading of a file."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.text = text


@dataclass
class _Anchored:
    value: Any
    nodes: int


class _Reader:
    """Builds values from the events of one file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.documents: list[Document] = []
        self.problems: list[Problem] = []
        self._anchors: dict[str, _Anchored] = {}
        self._nodes = 0
        self._depth = 0
        self._events: Iterator[Any] = iter(())
        self._document = Document(name, 0, 1)

    def refuse(self, line: int, text: str) -> None:
        self.problems.append(Problem(self.name, line, text))

    def run(self, events: Iterable[Any]) -> None:
        """Read all documents."""
        self._events = iter(events)
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                mark: Any = event.start_mark
                self._document = Document(self.name, len(self.documents), mark.line + 1)
                self._anchors = {}
                self.documents.append(self._document)
                self._document.value = self._value(next(self._events), ())

    def _value(self, event: Any, path: Path_) -> Any:
        line = event.start_mark.line + 1
        self._document.lines[path] = line
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, line)
        self._count(1, line)
        if event.tag is not None:
            self.refuse(line, _("Tags such as %(tag)s are not allowed.") % {"tag": event.tag[:60]})
        before = self._nodes
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, line)
        else:
            value = self._collection(event, path, line)
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(value, self._nodes - before + 1)
        return value

    def _collection(self, event: Any, path: Path_, line: int) -> Any:
        self._depth += 1
        if self._depth > DEPTH:
            raise _TooMuch(line, _("Nested deeper than %(limit)d levels.") % {"limit": DEPTH})
        is_list = isinstance(event, yaml.SequenceStartEvent)
        value = self._list(path) if is_list else self._mapping(path)
        self._depth -= 1
        return value

    def _list(self, path: Path_) -> list[Any]:
        found: list[Any] = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            found.append(self._value(event, (*path, len(found))))
        return found

    def _mapping(self, path: Path_) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            line = event.start_mark.line + 1
            key = self._key(event, line)
            if key in found:
                self.refuse(line, _("The field %(field)s stands here twice.") % {"field": key})
            value = self._value(next(self._events), (*path, key))
            self._document.lines[*path, key] = line
            found[key] = value
        return found

    def _key(self, event: Any, line: int) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise _TooMuch(line, _("A field's name must be plain text."))
        self._count(1, line)
        self._check(event.value, line)
        return str(event.value)

    def _alias(self, event: Any, line: int) -> Any:
        known = self._anchors.get(event.anchor)
        if known is None:
            raise _TooMuch(
                line, _("The alias *%(name)s points to nothing before it.") % {"name": event.anchor}
            )
        self._count(known.nodes, line)
        return known.value

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > NODES:
            raise _TooMuch(line, _("More than %(limit)d values, aliases unfolded.") % {"limit": NODES})

    def _scalar(self, event: Any, line: int) -> Any:
        self._check(event.value, line)
        return plain(event.value) if event.implicit[0] else event.value

    def _check(self, value: str, line: int) -> None:
        bad = next(
            (c for c in value if c in BIDI or (unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t")),
            "",
        )
        if bad:
            self.refuse(line, _("The control character U+%(code)04X is not allowed.") % {"code": ord(bad)})


WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}
INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
NUMBER = re.compile(r"[-+]?[0-9]{1,18}(\.[0-9]{0,18})?([eE][-+]?[0-9]{1,3})?")


def plain(text: str) -> Any:
    """The value of an unquoted scalar by YAML 1.2's core rules, so that `on` and `10:00` stay text."""
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text):
        return int(text)
    if NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


def duplicates(documents: Iterable[Document]) -> list[Problem]:
    """A name that two documents of one kind give themselves."""
    seen: dict[tuple[str, str], Document] = {}
    found: list[Problem] = []
    for each in documents:
        key = (each.kind, each.name)
        first = seen.setdefault(key, each)
        if first is not each and all(key):
            text = _("%(kind)s %(name)s is already described in %(file)s, line %(line)d.") % {
                "kind": each.kind,
                "name": each.name,
                "file": first.file,
                "line": first.line_of("metadata", "name"),
            }
            found.append(each.problem(text, "metadata", "name"))
    return found


def all_problems(*groups: Iterable[Problem]) -> list[Problem]:
    """Several lists of problems in reading order, each once."""
    return sorted(set(chain.from_iterable(groups)))
