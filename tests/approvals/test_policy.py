"""Which rows a release needs: scopes, climbing, lowering, and chains that nobody can fulfil."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals import policy, policy_table
from approvals.matching import Capacity
from approvals.policy import Part, People, RequiredRow
from portal.errors import Invalid
from tests.factories import policy_table as example
from tests.soak import many

GRADES = policy_table.read(example())
SHOP = Part(service="shop", team="commerce")
CART = Part(service="cart", team="commerce")
AUTH = Part(service="auth", team="identity")
AUTHOR = 1


def people(*, barred: frozenset[int] = frozenset({AUTHOR}), **holders: frozenset[int] | set[int]) -> People:
    """People by names such as pl_shop or lead_commerce."""
    kinds = {
        "pl_shop": ("pl", "service:shop"),
        "pl_cart": ("pl", "service:cart"),
        "pl_commerce": ("pl", "team:commerce"),
        "lead_commerce": ("team_lead", "team:commerce"),
        "lead_identity": ("team_lead", "team:identity"),
        "senior": ("infra_senior", "cluster_group:default"),
        "director": ("director", "*"),
    }
    held: dict[Capacity, frozenset[int]] = {kinds[name]: frozenset(ids) for name, ids in holders.items()}
    return People(holders=held, barred=barred, author=AUTHOR)


def review(grade: str, parts: list[Part], who: People, **more: Any) -> list[RequiredRow]:
    """The review rows of a grade."""
    return [row for row in policy.requirements(GRADES[grade], parts, who, **more) if row.phase == "review"]


def named(rows: list[RequiredRow]) -> list[tuple[str, str]]:
    """Role and scope of each row."""
    return [(row.role, row.scope) for row in rows]


@pytest.mark.parametrize("grade", ["A", "B"])
def test_a_and_b_ask_one_pl_for_each_service(grade: str) -> None:
    rows = review(grade, [SHOP, CART], people(pl_shop={2}, pl_cart={3}))
    assert named(rows) == [("pl", "service:shop"), ("pl", "service:cart")]
    assert policy.missing(rows) == []


def test_c_asks_the_team_lead_of_each_team_once() -> None:
    rows = review("C", [SHOP, CART, AUTH], people(lead_commerce={2}, lead_identity={3}))
    assert named(rows) == [("team_lead", "team:commerce"), ("team_lead", "team:identity")]
    assert rows[0].because == ("shop", "cart")


@pytest.mark.parametrize("fact", ["infrastructure", "traffic_path"])
def test_d_asks_the_infrastructure_senior_when_infrastructure_or_traffic_is_touched(fact: str) -> None:
    touched = Part(service="shop", team="commerce", facts=frozenset({fact}))
    rows = review("D", [touched], people(lead_commerce={2}, senior={3}))
    assert named(rows) == [("team_lead", "team:commerce"), ("infra_senior", "cluster_group:default")]
    assert named(review("D", [SHOP], people(lead_commerce={2}, senior={3}))) == named(rows)[:1]


def test_e_owes_the_team_lead_and_asks_nobody_before() -> None:
    rows = policy.requirements(GRADES["E"], [SHOP], people(lead_commerce={2}))
    assert [(row.phase, row.role) for row in rows] == [("owed", "team_lead")]


def test_an_author_who_is_pl_sends_the_row_to_the_team_lead_even_with_other_pls() -> None:
    (row,) = review("B", [SHOP], people(pl_shop={AUTHOR, 2}, lead_commerce={3}))
    assert (row.role, row.scope) == ("team_lead", "team:commerce")
    assert [(step.role, step.why) for step in row.climbed] == [("pl", "author")]


def test_an_author_who_is_pl_of_the_team_counts_as_pl_of_its_services() -> None:
    (row,) = review("B", [SHOP], people(pl_commerce={AUTHOR, 2}, lead_commerce={3}))
    assert row.role == "team_lead"


def test_a_barred_pl_does_not_move_the_row_while_another_pl_counts() -> None:
    (row,) = review("B", [SHOP], people(barred=frozenset({AUTHOR, 2}), pl_shop={2, 3}))
    assert (row.role, row.climbed) == ("pl", ())


def test_a_row_climbs_when_every_holder_is_barred_and_says_so() -> None:
    (row,) = review("B", [SHOP], people(barred=frozenset({AUTHOR, 2}), pl_shop={2}, lead_commerce={3}))
    assert row.role == "team_lead"
    assert row.climbed[0].why == "barred"


def test_a_row_climbs_past_roles_that_nobody_holds_up_to_the_director() -> None:
    (row,) = review("B", [SHOP], people(director={9}))
    assert row.role == "director"
    assert [(step.role, step.why) for step in row.climbed] == [("pl", "vacant"), ("team_lead", "vacant")]
    assert row.fulfillable


def test_an_infrastructure_senior_climbs_to_the_director() -> None:
    touched = Part(service="shop", team="commerce", facts=frozenset({"infrastructure"}))
    rows = review("D", [touched], people(lead_commerce={2}, director={9}))
    assert named(rows) == [("team_lead", "team:commerce"), ("director", "cluster_group:default")]


def test_where_the_ladder_ends_the_missing_role_is_named() -> None:
    (row,) = policy.missing(review("C", [SHOP], people(lead_commerce={AUTHOR})))
    assert row.role == "director"


def test_services_whose_rows_climb_to_one_team_share_that_row() -> None:
    (row,) = review("B", [SHOP, CART], people(lead_commerce={2}))
    assert (row.role, row.because) == ("team_lead", ("shop", "cart"))


def test_one_person_alone_cannot_be_team_lead_and_infrastructure_senior_of_one_release() -> None:
    touched = Part(service="shop", team="commerce", facts=frozenset({"infrastructure"}))
    rows = review("D", [touched], people(lead_commerce={2}, senior={2}))
    assert len(policy.missing(rows)) == 1
    assert policy.missing(review("D", [touched], people(lead_commerce={2, 3}, senior={2}))) == []


def test_a_lowered_grade_keeps_the_review_rows_of_the_proposed_one() -> None:
    who = people(pl_shop={2}, lead_commerce={3})
    rows = policy.requirements(GRADES["B"], [SHOP], who, review_of=GRADES["C"])
    assert [(row.phase, row.role) for row in rows] == [("review", "team_lead"), ("signoff", "pl")]


def test_the_result_of_a_and_b_is_signed_off_by_pl_or_team_lead() -> None:
    who = people(pl_shop={2}, lead_commerce={3})
    (row,) = [row for row in policy.requirements(GRADES["B"], [SHOP], who) if row.phase == "signoff"]
    assert {("pl", "service:shop"), ("team_lead", "team:commerce")} <= set(row.accepted)


KINDS = [
    ("pl", "service:shop"),
    ("team_lead", "team:commerce"),
    ("infra_senior", "cluster_group:default"),
    ("director", "*"),
]


@pytest.mark.repeated
@many
@given(
    st.dictionaries(st.sampled_from(KINDS), st.frozensets(st.integers(1, 4), max_size=3)),
    st.frozensets(st.integers(1, 4)),
    st.sampled_from("ABCD"),
    st.booleans(),
)
def test_a_row_is_fulfillable_exactly_by_people_who_are_not_barred(
    holders: dict[Capacity, frozenset[int]],
    barred: frozenset[int],
    grade: str,
    touched: bool,
) -> None:
    facts = frozenset({"infrastructure"} if touched else ())
    who = People(holders=holders, barred=barred | {AUTHOR}, author=AUTHOR)
    for row in policy.requirements(GRADES[grade], [Part(service="shop", team="commerce", facts=facts)], who):
        free = (
            {person for capacity in row.accepted for person in holders.get(capacity, ())} - barred - {AUTHOR}
        )
        assert free or not row.fulfillable
        left_behind = {(step.role, step.scope) for step in row.climbed}
        assert (row.role, row.scope) not in left_behind


# The table as data


@pytest.mark.parametrize(
    ("grade", "change", "field"),
    [
        ("A", {"review": []}, "A.review"),
        (
            "D",
            {"review": [{"role": "infra_senior", "scope": "team", "when": ["infrastructure"]}]},
            "D.review",
        ),
        ("E", {"owed": []}, "E.owed"),
        ("B", {"review": [{"role": "pl", "scope": "service", "count": 0}]}, "B.review.0.count"),
        ("B", {"review": [{"role": "pl", "scope": "service", "count": -1}]}, "B.review.0.count"),
        ("B", {"review": [{"role": "pl", "scope": "service", "count": True}]}, "B.review.0.count"),
        ("B", {"review": [{"role": "pl", "scope": "service", "count": 1.5}]}, "B.review.0.count"),
        ("B", {"review": [{"role": "king", "scope": "service"}]}, "B.review.0.role"),
        ("B", {"review": [{"role": "auditor", "scope": "service"}]}, "B.review.0.role"),
        ("B", {"review": [{"role": "pl", "scope": "planet"}]}, "B.review.0.scope"),
        ("B", {"review": [{"role": "pl", "scope": "service", "when": ["rain"]}]}, "B.review.0.when.0"),
        ("C", {"skip_everything": True}, "C.skip_everything"),
        ("C", {"deadline_hours": -1}, "C.deadline_hours"),
        ("C", {"shared": "nobody"}, "C.shared"),
    ],
)
def test_a_table_that_asks_for_less_than_one_person_or_for_nonsense_is_invalid(
    grade: str, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        policy_table.read(example(**{grade: change}))
    assert field in [fault["field"] for fault in refusal.value.missing]


@pytest.mark.parametrize("table", [{}, [], None, {"A": {}}, {"Z": {}}])
def test_a_table_without_all_grades_is_invalid(table: object) -> None:
    with pytest.raises(Invalid):
        policy_table.read(table)


def test_the_example_reads_with_its_deadlines_and_its_objections() -> None:
    assert GRADES["A"].deadline_hours == 72
    assert [grade for grade, rules in GRADES.items() if rules.objection_holds] == ["D"]
