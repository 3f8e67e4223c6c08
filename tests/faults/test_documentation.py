"""docs/faults.md says which tests show each fault: they are there, and run where it says."""

import os
import re
import subprocess
import sys

import pytest

from tests.faults.matrix import HERE, REPOSITORY, rows
from tests.soak import long

SPECIFIED = [f"F{number}" for number in range(1, 25)]
SOAK = re.compile(r"^AT_LENGTH = -m \"(.+?)\"", re.MULTILINE)


def chosen(*options: str) -> set[str]:
    """What a run with those options would try."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *options]
    # The servers of this run will do: nothing is asked of them. What was told to this run is not for it.
    env = {"PYTEST_XDIST_WORKER": "gw0", **os.environ, "PYTEST_ADDOPTS": ""}
    ran = subprocess.run(command, cwd=REPOSITORY, env=env, text=True, capture_output=True, check=False)
    assert ran.returncode in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}, ran.stdout
    return {line.partition("[")[0] for line in ran.stdout.splitlines() if "::" in line}


def files() -> list[str]:
    """Where the tests that the page names are."""
    return sorted({name.partition("::")[0] for row in rows() for name in row.quick | row.long})


def soak() -> str:
    """What `make soak` chooses by."""
    found = SOAK.search((REPOSITORY / "Makefile").read_text())
    assert found is not None
    return found[1]


def test_every_fault_of_the_matrix_names_a_test() -> None:
    assert [row.number for row in rows()] == SPECIFIED
    assert all(row.quick or row.long for row in rows())
    for name in {name for row in rows() for name in row.quick | row.long}:
        path, *_, function = name.split("::")
        assert f"def {function}(" in (REPOSITORY / path).read_text(), name


@long
def test_make_soak_runs_every_test_of_every_fault() -> None:
    run = chosen("-m", soak(), *files())
    for row in rows():
        assert row.quick | row.long <= run, row.number
    assert chosen("-m", f"not ({soak()})", str(HERE)) == set()


@long
def test_make_test_runs_what_the_page_says() -> None:
    run = chosen(*files())
    for row in rows():
        assert row.quick <= run, row.number
        assert not row.long & run, row.number
