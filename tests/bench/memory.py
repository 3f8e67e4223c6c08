"""Ten thousand small steps on a practice cluster: does what the processes hold in memory stay flat?"""

import os
import re
from pathlib import Path
from statistics import linear_regression

from tests.bench.places import CARRIERS, VERSIONS, fill, submitted
from tests.bench.portal import Portal, running_portal
from tests.bench.row import Row

STEPS = int(os.environ.get("BENCH_STEPS", "10000"))
PLACES = 10
NOTICES = 48
# What is read once and kept has been read by then.
WARM = 0.25
MIB = 5
ROLES = ("web", *CARRIERS)
Held = dict[str, float]


def run() -> list[Row]:
    """Roll the same systems forth and back until so many steps are done; look at the processes each time."""
    done: list[float] = []
    held: list[Held] = []
    with running_portal() as portal:
        fill(portal, PLACES, notices=NOTICES)
        while not done or done[-1] < STEPS:
            steps = _round(portal, VERSIONS[(len(done) + 1) % 2])
            done.append((done[-1] if done else 0) + steps)
            held.append(_held(portal))
    warm = next(at for at, steps in enumerate(done) if steps >= WARM * done[-1])
    return [row for name in held[0] for row in _rows(name, done[warm:], [each[name] for each in held[warm:]])]


def _rows(name: str, done: list[float], held: list[float]) -> list[Row]:
    growth = 10_000 * linear_regression(done, held).slope
    what = f"{name}: growth over 10,000 steps, by the slope"
    return [Row(what, growth, "MiB", MIB), Row.of(f"{name}: held meanwhile", held, "MiB")]


def _round(portal: Portal, version: str) -> int:
    """Roll out every system once; return how many steps that were."""
    numbers = [submitted(portal, index, version) for index in range(PLACES)]
    rollouts = [portal.start(number) for number in numbers]
    ended = [portal.wait(each, {"succeeded", "failed", "paused", "stopped"}) for each in rollouts]
    wrong = [each["state"] for each in ended if each["state"] != "succeeded"]
    if wrong:
        raise RuntimeError(f"rollouts ended {wrong}")
    return sum(int(each["progress"]["total"]) for each in ended)


def _held(portal: Portal) -> Held:
    """What each process holds; a second worker is a process of its own."""
    pids = portal.report["pids"]
    return {
        f"{role} {number}" if number > 1 else role: _rss_mib(pid)
        for role in ROLES
        for number, pid in enumerate(pids[role], 1)
    }


def _rss_mib(pid: int) -> float:
    found = re.search(r"^VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
