"""Time is the database's: the clock of a host may be wrong, jump, or change for the summer."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal import clock
from tests.soak import long

REPOSITORY = Path(__file__).resolve().parents[2]
CODE = ("portal", "approvals", "releases")
HOST_CLOCKS = {"now", "utcnow", "today", "time", "localtime", "gmtime"}
HOST_MODULES = {"timezone", "datetime", "date", "time"}
# What a page says of times; what runs beside the portal for trying it out.
LEFT_OUT = ("portal/ui/", "portal/embedded/")
# Django's own sessions, words of a page, the doctor who compares the two clocks, how long a log is followed.
MAY_READ = {
    "portal/live/queries.py",
    "releases/reading/life.py",
    "releases/rollouts/doctor.py",
    "releases/rollouts/views/logs.py",
}


@long
def test_nothing_that_decides_reads_the_clock_of_its_host() -> None:
    found = {name for folder in CODE for name in _readers(REPOSITORY / folder)}
    assert {name for name in found if not name.startswith(LEFT_OUT)} == MAY_READ


@pytest.mark.django_db
def test_a_host_clock_that_jumps_moves_no_time_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    before = clock.now()
    with clock.counting_on(before):
        monkeypatch.setattr("time.time", lambda: 0.0)
        counted = clock.now()
    assert before <= counted <= clock.now()


def _readers(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        if any(_reads_host_clock(call.func) for call in calls):
            yield str(path.relative_to(REPOSITORY))


def _reads_host_clock(called: ast.expr) -> bool:
    if not isinstance(called, ast.Attribute) or called.attr not in HOST_CLOCKS:
        return False
    owner = called.value
    name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
    return name in HOST_MODULES
