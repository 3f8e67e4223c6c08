"""Requirements and matching of a release of 50 services, 20 teams and 200 people, and how both grow."""

import gc
import math
import os
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import django

from tests.bench.row import Row

ROUNDS = 15
TARGET_MS = 5.0
GROWTH = 10
# Quadratic at most: ten times the services may take a hundred times as long.
STEEPEST = 2.0
FACTS = frozenset({"traffic_path"})


def run() -> list[Row]:
    """Measure rules that read no database, grade by grade, in the time of the processor and on the clock."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.check_settings")
    django.setup()
    # What stays from the start of the process is not looked through again in the middle of a round.
    gc.collect()
    gc.freeze()
    rows = []
    for grade in "BCD":
        small, clock_ms = _times(grade, 1)
        large, _clock = _times(grade, GROWTH)
        growth = math.log(median(large) / median(small), GROWTH)
        title = f"grade {grade}, 50 services, 20 teams, 200 people"
        rows += [
            Row.of(f"{title}: processor", small, "ms", target=TARGET_MS),
            Row.of(f"{title}: clock", clock_ms, "ms", target=TARGET_MS),
            Row.of(f"grade {grade}, 500 services, 200 teams, 2000 people: processor", large, "ms"),
            Row(f"grade {grade}: grows with the services to the power of", growth, "power", target=STEEPEST),
        ]
    return rows


def _times(grade: str, size: int) -> tuple[list[float], list[float]]:
    from approvals import policy, policy_table  # noqa: PLC0415  needs settings
    from tests.factories import policy_table as example  # noqa: PLC0415

    chosen = policy_table.read(example())[grade]
    parts, people = _company(size)
    rows = policy.requirements(chosen, parts, people)
    assert not policy.missing(rows), grade
    judge = partial(_judge, rows, people)
    assert judge()
    both = [_once(partial(policy.requirements, chosen, parts, people), judge) for _round in range(ROUNDS)]
    return [processor for processor, _clock in both], [clock for _processor, clock in both]


def _once(*acts: Callable[[], Any]) -> tuple[float, float]:
    processor, clock = time.process_time(), time.perf_counter()
    for act in acts:
        act()
    return 1000 * (time.process_time() - processor), 1000 * (time.perf_counter() - clock)


def _judge(rows: Any, people: Any) -> bool:
    """What each decision asks once everybody has decided: who fills which review row."""
    from approvals import matching  # noqa: PLC0415  needs settings

    wanted = [
        matching.Row(key=key, role=row.role, count=row.count, accepted=frozenset(row.accepted))
        for key, row in enumerate(rows)
        if row.phase == "review"
    ]
    held = people.capacities
    votes = [matching.Vote(person=person, capacities=found) for person, found in sorted(held.items())]
    return not matching.unmet(wanted, matching.match(wanted, votes))


def _company(size: int) -> tuple[list[Any], Any]:
    """Two PLs a service, of whom every fourth leads a team too; two leads a team, seniors and directors."""
    from approvals.policy import Part, People  # noqa: PLC0415  needs settings

    services, teams, persons = 50 * size, 20 * size, 200 * size
    parts = [
        Part(service=f"s{number}", team=f"t{number % teams}", facts=FACTS, core=number % 3 == 0)
        for number in range(services)
    ]
    holders: dict[tuple[str, str], set[int]] = {("director", "*"): {persons - 1, persons - 2}}
    for number in range(services):
        holders[("pl", f"service:s{number}")] = {2 * number, 2 * number + 1}
    for number in range(teams):
        lead = 2 * services + number
        holders[("team_lead", f"team:t{number}")] = {lead, 8 * number % (2 * services)}
    seniors = range(2 * services + teams, persons - 2)
    holders[("infra_senior", "cluster_group:default")] = set(seniors)
    found = {capacity: frozenset(each) for capacity, each in holders.items()}
    return parts, People(holders=found, barred=frozenset({persons - 3}), author=persons - 3)
