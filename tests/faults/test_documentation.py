"""docs/faults.md says which test shows each fault: every one of them exists."""

import ast
import re
from pathlib import Path

from tests.soak import long

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "faults.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@long
def test_every_fault_names_tests_that_exist() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| F")]
    assert all(NAMED.search(row) for row in rows)
    named = {pair for row in rows for pair in NAMED.findall(row)}
    assert {(path, name) for path, name in named if name not in _functions(path)} == set()


def _functions(path: str) -> set[str]:
    tree = ast.parse((REPOSITORY / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
