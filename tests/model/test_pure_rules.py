"""The pure rules against the model, on thousands of random companies; nothing is stored.

Numbered rather than drawn by hypothesis, which takes ten times as long to draw a company as both take to
judge it: a failure names the number, and that number alone makes the same company again.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from approvals import grades, policy, policy_table
from approvals.grades import ItemFacts
from approvals.matching import Row, Vote, match, unmet
from approvals.policy import Part, People
from tests.factories import policy_table as example
from tests.model import rules
from tests.soak import examples, long

GRADES = policy_table.read(example())
SERVICES = (
    rules.Service("shopping-service", "commerce", core=False),
    rules.Service("payment-service", "commerce", core=True),
    rules.Service("auth-service", "identity", core=True),
)
CAPACITIES = (
    ("pl", "service:shopping-service"),
    ("pl", "service:payment-service"),
    ("pl", "team:identity"),
    ("pl", "*"),
    ("team_lead", "team:commerce"),
    ("team_lead", "team:identity"),
    ("infra_senior", "cluster_group:production"),
    ("director", "*"),
)
FACTS = ("new_api", "infrastructure", "traffic_path", "database_change")
NAMES = ("author", "a", "b", "c", "d")
COMPANIES = range(examples(2_000, soaking=200_000))


def some(chance: Random, of: Sequence[Any], most: int) -> list[Any]:
    """Up to so many of them, in any order."""
    return chance.sample(of, chance.randint(0, most))


def any_release(chance: Random) -> tuple[rules.Release, rules.Company]:
    """A release of some services in a company where anybody holds anything."""
    company = rules.Company({name: {} for name in NAMES})
    for name in NAMES:
        for capacity in some(chance, CAPACITIES, 3):
            company.gain(name, capacity)
    services = some(chance, SERVICES, 3) or [SERVICES[0]]
    release = rules.Release("author", services, set(some(chance, FACTS, 2)), chance.choice("ABCDE"))
    release.contributors = set(some(chance, NAMES[1:], 1))
    return release, company


@long
@pytest.mark.repeated
def test_the_rows_and_whether_anybody_can_meet_them_are_those_of_the_rules() -> None:
    for number in COMPANIES:
        release, company = any_release(Random(number))
        barred = {release.author, *release.contributors}
        phase = "owed" if release.is_emergency else "review"
        rows = [row for row in _required(release, company, barred) if row.phase == phase]
        asked = release.asks(company)
        assert {(row.role, row.scope) for row in rows} == {(row.role, row.scope) for row in asked}, number
        can_be = rules.can_be_met(asked, rules.everybody_says_yes(asked, company, barred))
        assert (policy.missing(rows) == []) == can_be, number


def _required(release: rules.Release, company: rules.Company, barred: set[str]) -> list[policy.RequiredRow]:
    """What the product asks for, having proposed a grade itself."""
    facts = dict.fromkeys(release.facts, True)
    proposed = grades.propose(
        [ItemFacts(service=each.name, core=each.core, **facts) for each in release.services]  # type: ignore[arg-type]
    ).grade
    assert proposed == release.proposed
    held: dict[rules.Capacity, set[int]] = {}
    for name in company.held:
        for capacity in company.holds(name):
            held.setdefault(capacity, set()).add(NAMES.index(name))
    people = People(
        holders={capacity: frozenset(persons) for capacity, persons in held.items()},
        barred=frozenset(NAMES.index(name) for name in barred),
        author=NAMES.index(release.author),
    )
    parts = [
        Part(
            service=each.name,
            team=each.team,
            core=each.core,
            cluster_group="production",
            facts=frozenset(release.facts),
        )
        for each in release.services
    ]
    lowered = grades.is_lowered(release.chosen, proposed)
    return policy.requirements(
        GRADES[release.chosen], parts, people, review_of=GRADES[proposed] if lowered else None
    )


def any_votes(chance: Random) -> list[rules.Yes]:
    """Some approve for themselves, some for one another."""
    return [
        rules.Yes(name, frozenset(some(chance, CAPACITIES, 3)), giver=chance.choice(["", "", *NAMES]))
        for name in some(chance, NAMES, 4)
    ]


@pytest.mark.repeated
def test_the_approvals_suffice_exactly_when_the_rules_say_so() -> None:
    for number in COMPANIES:
        chance = Random(number)
        wanted, said = some(chance, CAPACITIES, 3) or [CAPACITIES[0]], any_votes(chance)
        rows = [rules.Row(role, scope) for role, scope in wanted]
        assert _suffices(rows, said) == rules.can_be_met(rows, said), number


@pytest.mark.repeated
def test_one_approval_more_never_makes_approved_unapproved() -> None:
    for number in COMPANIES:
        chance = Random(number)
        wanted, said = some(chance, CAPACITIES, 3) or [CAPACITIES[0]], any_votes(chance)
        rows = [rules.Row(role, scope) for role, scope in wanted]
        assert not _suffices(rows, said[:-1]) or _suffices(rows, said), number


def _suffices(rows: list[rules.Row], said: list[rules.Yes]) -> bool:
    """What the product's matching finds."""
    stored = [
        Row(
            key=key,
            role=row.role,
            count=1,
            accepted=frozenset(each for each in CAPACITIES if row.is_for(each)),
        )
        for key, row in enumerate(rows)
    ]
    cast = [
        Vote(
            person=NAMES.index(vote.person),
            capacities=vote.capacities,
            giver=NAMES.index(vote.giver) if vote.giver else None,
        )
        for vote in said
    ]
    return unmet(stored, match(stored, cast)) == []
