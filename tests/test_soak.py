"""What tries more when soaking is among what `make soak` runs."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.faults import matrix

TESTS = Path(__file__).parent
# What of tests.soak gives a size of its own for soaking.
SIZES = {"SOAKING", "examples", "many"}
CHOSEN = {"repeated", "soak"}
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def test_no_test_has_a_size_for_soaking_that_is_never_tried() -> None:
    faults = {name for row in matrix.rows() for name in row.quick | row.long}
    forgotten = {
        name
        for path in TESTS.rglob("test_*.py")
        if path != Path(__file__) and matrix.HERE not in path.parents
        for name in _left_out(path, path.read_text())
    }
    assert forgotten - faults == set()


def _left_out(path: Path, text: str) -> Iterator[str]:
    """The tests of a file that have such a size, by any name that they use, and no mark."""
    if not any(size in text for size in SIZES):
        return
    module = ast.parse(text)
    defined = _defined(module)
    if any(_names(node) & CHOSEN for node in defined.get("pytestmark", [])):
        return
    sized = _sized(defined, _imported(module) & SIZES)
    for name in sorted(sized):
        nodes = [node for node in defined.get(name, []) if isinstance(node, Definition)]
        if name.startswith(("test_", "Test")) and not any(_marks(node) & CHOSEN for node in nodes):
            yield f"{path.relative_to(matrix.REPOSITORY)}::{name}"


def _defined(module: ast.Module) -> dict[str, list[ast.stmt]]:
    """By each name of the module what defines it; what gives A an attribute is among that of A."""
    found: dict[str, list[ast.stmt]] = {}
    for node in module.body:
        if isinstance(node, Definition):
            found.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in {name for target in targets for name in _names(target)}:
                found.setdefault(name, []).append(node)
    return found


def _imported(module: ast.Module) -> set[str]:
    """What the module imports from tests.soak."""
    imports = (node for node in module.body if isinstance(node, ast.ImportFrom))
    return {alias.name for node in imports if node.module == "tests.soak" for alias in node.names}


def _sized(defined: dict[str, list[ast.stmt]], sizes: set[str]) -> set[str]:
    """The names that one of the sizes reaches, through fixtures and constants as well."""
    used = {name: set().union(*(_names(node) for node in nodes)) for name, nodes in defined.items()}
    reached = {name for name, names in used.items() if names & sizes}
    while more := {name for name, names in used.items() if names & reached} - reached:
        reached |= more
    return reached


def _names(node: ast.AST) -> set[str]:
    """Every name in it: of variables, arguments and attributes."""
    return {
        name
        for each in ast.walk(node)
        for name in (getattr(each, key, None) for key in ("id", "arg", "attr"))
        if isinstance(name, str)
    }


def _marks(node: Definition) -> set[str]:
    """The marks of all of a test, not of some of its parameters."""
    return {ast.unparse(each).removeprefix("pytest.mark.") for each in node.decorator_list}
