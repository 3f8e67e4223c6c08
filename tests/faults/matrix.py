"""Which tests show which fault: docs/faults.md says it, and `make soak` runs all of them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "faults.md"
HERE = Path(__file__).parent
NAMED = re.compile(r"`(tests/[\w/]+\.py(?:::\w+)+)`")


@dataclass(frozen=True)
class Row:
    """One fault of the page: its line in the table.

    Attributes:
        cells: its number, what breaks, what the portal does, what `make test` plays, what else is played.
    """

    cells: tuple[str, ...]

    @property
    def number(self) -> str:
        """As in "F7"."""
        return self.cells[0]

    @cached_property
    def quick(self) -> set[str]:
        """The tests that `make test` runs, each as "path::function" or "path::Class::function"."""
        return set(NAMED.findall(self.cells[3]))

    @cached_property
    def long(self) -> set[str]:
        """The tests that it leaves out, or runs a part of."""
        return set(NAMED.findall(self.cells[4]))


def rows() -> list[Row]:
    """The rows of the page's table, in their order."""
    lines = (line for line in PAGE.read_text().splitlines() if line.startswith("| F"))
    return [Row(tuple(cell.strip() for cell in line.strip("|").split("|"))) for line in lines]


def mark(items: Iterable[pytest.Item]) -> None:
    """Mark the tests that the page names, and all of this folder, as `fault`."""
    named = {name for row in rows() for name in row.quick | row.long}
    for item in items:
        if HERE in item.path.parents or name_of(item) in named:
            item.add_marker("fault")


def name_of(item: pytest.Item) -> str:
    """The name of a test as the page has it: without the parameters."""
    path, _, name = item.nodeid.partition("::")
    return f"{path}::{name.partition('[')[0]}"
