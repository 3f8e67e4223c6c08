"""The matching of decisions to rows is the best there is, and one person never fills rows of two roles."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.matching import Matched, Row, Vote, could_fill, match, unmet
from tests.soak import long, many

ROLES = ("pl", "team_lead", "infra_senior")
SCOPES = ("one", "two")
CAPACITIES = [(role, scope) for role in ROLES for scope in SCOPES]


@st.composite
def rows_of(draw: st.DrawFn) -> list[Row]:
    """Up to four rows, sometimes with an alternative role."""
    rows = []
    for key in range(draw(st.integers(0, 4))):
        role, scope = draw(st.sampled_from(CAPACITIES))
        others = draw(st.frozensets(st.sampled_from(CAPACITIES), max_size=1))
        accepted = frozenset({(role, scope)}) | others
        rows.append(Row(key=key, role=role, count=draw(st.integers(1, 2)), accepted=accepted))
    return rows


def votes_of(most: int = 5) -> st.SearchStrategy[list[Vote]]:
    """Up to five people with any capacities."""
    held = st.frozensets(st.sampled_from(CAPACITIES), max_size=4)
    return st.lists(held, max_size=most).map(
        lambda found: [Vote(person=number, capacities=each) for number, each in enumerate(found)]
    )


def filled_places(rows: Sequence[Row], votes: Sequence[Vote], roles: Sequence[str]) -> int:
    """How many places are filled when each person serves the role given to them."""
    return sum(
        min(
            row.count,
            sum(
                1
                for vote, role in zip(votes, roles, strict=True)
                if role == row.role and could_fill(row, vote.capacities)
            ),
        )
        for row in rows
    )


def filled(matched: Matched) -> int:
    """How many places a matching fills."""
    return sum(len(people) for people in matched.values())


@long
@pytest.mark.repeated
@many
@given(rows_of(), votes_of())
def test_no_other_choice_of_roles_fills_more_places(rows: list[Row], votes: list[Vote]) -> None:
    best = max(filled_places(rows, votes, roles) for roles in itertools.product(ROLES, repeat=len(votes)))
    assert filled(match(rows, votes)) == best


@long
@pytest.mark.repeated
@many
@given(rows_of(), votes_of())
def test_everybody_is_entitled_to_the_rows_they_fill_and_to_one_role(
    rows: list[Row], votes: list[Vote]
) -> None:
    held = {vote.person: vote.capacities for vote in votes}
    matched = match(rows, votes)
    for person in held:
        assert len({row.role for row in rows if person in matched[row.key]}) <= 1
    for row in rows:
        assert len(set(matched[row.key])) == len(matched[row.key]) <= row.count
        assert all(could_fill(row, held[person]) for person in matched[row.key])


@long
@pytest.mark.repeated
@many
@given(rows_of(), votes_of(), st.lists(st.none() | st.integers(0, 4), min_size=5, max_size=5))
def test_a_mandate_counts_once_in_a_row_whoever_decides_by_it(
    rows: list[Row], votes: list[Vote], givers: list[int | None]
) -> None:
    delegated = [replace(vote, giver=giver) for vote, giver in zip(votes, givers, strict=False)]
    names = {vote.person: vote.name for vote in delegated}
    matched = match(rows, delegated)
    for row in rows:
        used = [names[person] for person in matched[row.key]]
        assert len(set(used)) == len(used)
    first = {vote.name: vote for vote in reversed(delegated)}.values()
    assert filled(match(rows, sorted(first, key=lambda vote: vote.person))) <= filled(matched)


@long
@pytest.mark.repeated
@many
@given(rows_of(), votes_of(4), st.frozensets(st.sampled_from(CAPACITIES), max_size=4))
def test_one_more_approval_never_undoes_what_was_met(
    rows: list[Row], votes: list[Vote], held: frozenset[tuple[str, str]]
) -> None:
    before = match(rows, votes)
    after = match(rows, [*votes, Vote(person=99, capacities=held)])
    assert filled(after) >= filled(before)
    assert unmet(rows, before) or not unmet(rows, after)


@long
@pytest.mark.repeated
@many
@given(rows_of(), votes_of(4))
def test_a_person_counts_once_however_often_they_are_named(rows: list[Row], votes: list[Vote]) -> None:
    assert filled(match(rows, [*votes, *votes])) == filled(match(rows, votes))


def test_a_person_of_two_roles_does_not_block_the_chain() -> None:
    lead = Row(key=1, role="team_lead", count=1, accepted=frozenset({("team_lead", "one")}))
    senior = Row(key=2, role="infra_senior", count=1, accepted=frozenset({("infra_senior", "one")}))
    both = Vote(person=1, capacities=lead.accepted | senior.accepted)
    only_lead = Vote(person=2, capacities=lead.accepted)
    assert match([lead, senior], [both, only_lead]) == {1: (2,), 2: (1,)}
    assert len(unmet([lead, senior], match([lead, senior], [both]))) == 1


def test_one_person_fills_rows_of_one_role_in_every_scope_they_hold() -> None:
    rows = [
        Row(key=n, role="team_lead", count=1, accepted=frozenset({("team_lead", scope)}))
        for n, scope in enumerate(SCOPES)
    ]
    vote = Vote(person=7, capacities=frozenset({("team_lead", "one"), ("team_lead", "two")}))
    assert match(rows, [vote]) == {0: (7,), 1: (7,)}


def test_forty_people_who_all_hold_two_roles_are_matched_at_once() -> None:
    rows = [
        Row(key=n, role=role, count=3, accepted=frozenset({(role, scope)}))
        for n, (role, scope) in enumerate(CAPACITIES)
    ]
    votes = [Vote(person=n, capacities=frozenset(CAPACITIES)) for n in range(40)]
    assert filled(match(rows, votes)) == 18
