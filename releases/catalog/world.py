"""What a catalog will be after loading, and what is said where a name in it meets no object."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.utils.translation import gettext as _

from releases.catalog.documents import Document, Problem

Known = Mapping[tuple[str, str], Mapping[str, Any]]


@dataclass(frozen=True)
class World:
    """Documents to be loaded, over those already there (kind and name to spec)."""

    documents: list[Document]
    stored: Known

    @cached_property
    def _specs(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        return {**self.stored, **{(each.kind, each.name): each.spec for each in self.documents}}

    def spec(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """The spec that will hold after loading, or None where there is no such object."""
        return self._specs.get((kind, name))

    def all(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """Every object of a kind, by name, as it will be after loading."""
        return {name: spec for (each, name), spec in self._specs.items() if each == kind}


def reference(document: Document, world: World, kind: str, name: Any, *path: str | int) -> Iterator[Problem]:
    """Yield a problem where no such object is; `path` is where in the spec its name stands."""
    if world.spec(kind, str(name)) is None:
        text = _("There is no %(kind)s named %(name)s.") % {"kind": kind, "name": name}
        yield document.problem(text, "spec", *path)


def references(document: Document, world: World, kind: str, *path: str | int) -> Iterator[Problem]:
    """Yield the problems of a list of names that stands at `path` in the spec."""
    names: Any = document.spec
    for part in path:
        names = names.get(part, []) if isinstance(names, dict) else names[part]
    for index, name in enumerate(names):
        yield from reference(document, world, kind, name, *path, index)


def recipients(document: Document, world: World, names: Iterable[str], *path: str | int) -> Iterator[Problem]:
    """Yield the problems of recipients such as "team:commerce"."""
    for index, recipient in enumerate(names):
        kind, _colon, name = recipient.partition(":")
        if kind == "team":
            yield from reference(document, world, "Team", name, *path, index)
