"""The graph of delegations is one hop at every moment, whatever was given in whatever order."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.delegations.rules import Clash, Term, clash
from tests.soak import long, many

DAY_ZERO = datetime(2026, 1, 1, tzinfo=UTC)
ROLES = (("pl", "service:a"), ("team_lead", "team:b"))


@st.composite
def terms(draw: st.DrawFn) -> Term:
    giver, taker = draw(st.permutations(range(4)))[:2]
    role, scope = draw(st.sampled_from(ROLES))
    starts = draw(st.integers(0, 8))
    return Term(
        giver=giver,
        taker=taker,
        role=role,
        scope=scope,
        starts_at=DAY_ZERO + timedelta(days=starts),
        ends_at=DAY_ZERO + timedelta(days=starts + draw(st.integers(1, 4))),
    )


def given_in_order(wanted: list[Term]) -> list[Term]:
    """Those that are taken on when each is asked for in turn."""
    standing: list[Term] = []
    for term in wanted:
        if clash(term, standing) is None:
            standing.append(term)
    return standing


@long
@pytest.mark.repeated
@many
@given(st.lists(terms(), max_size=12))
def test_at_no_moment_is_there_a_loop_or_a_second_hop(wanted: list[Term]) -> None:
    standing = given_in_order(wanted)
    for day in range(14):
        noon = DAY_ZERO + timedelta(days=day, hours=12)
        now = [term for term in standing if term.starts_at <= noon < term.ends_at]
        pairs = {(term.giver, term.taker) for term in now}
        assert not any((taker, giver) in pairs for giver, taker in pairs)
        for role in ROLES:
            of_role = [term for term in now if (term.role, term.scope) == role]
            assert not {term.giver for term in of_role} & {term.taker for term in of_role}
            assert len({(term.giver, term.taker) for term in of_role}) == len(of_role)


@long
@pytest.mark.repeated
@many
@given(terms(), terms())
def test_two_exclude_each_other_in_either_order(one: Term, other: Term) -> None:
    assert (clash(one, [other]) is None) == (clash(other, [one]) is None)


@pytest.mark.repeated
@many
@given(terms())
def test_one_that_begins_when_another_ends_may_follow_it(one: Term) -> None:
    back = Term(
        giver=one.taker,
        taker=one.giver,
        role=one.role,
        scope=one.scope,
        starts_at=one.ends_at,
        ends_at=one.ends_at + timedelta(days=1),
    )
    assert clash(back, [one]) is None


def test_two_may_decide_for_one_and_one_for_two() -> None:
    def term(giver: int, taker: int) -> Term:
        role, scope = ROLES[0]
        ends = DAY_ZERO + timedelta(days=1)
        return Term(giver=giver, taker=taker, role=role, scope=scope, starts_at=DAY_ZERO, ends_at=ends)

    assert given_in_order([term(1, 2), term(1, 3), term(4, 2)]) == [term(1, 2), term(1, 3), term(4, 2)]
    found = clash(term(2, 3), [term(1, 2)])
    assert found is not None
    assert found[0] is Clash.GIVEN_ON
