"""Every row of the grade table, and what the author's claims are worth."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.grades import Fact, ItemFacts, Proposal, is_lowered, propose


def proposal(*items: Mapping[str, object]) -> Proposal:
    """Propose for items given by their facts; each is called after its place."""
    facts = [ItemFacts(**{"service": f"service-{place}", **item}) for place, item in enumerate(items)]  # type: ignore[arg-type]
    return propose(facts)


SAME = {"same_image": True}
KEYS = {"configuration_only": True, "changed_keys": frozenset({"banner"})}


@pytest.mark.parametrize(
    ("item", "grade"),
    [
        ({**SAME, "feature_flag": True}, "A"),
        ({**SAME, "feature_flag": True, "core": True}, "A"),
        ({**SAME, "scale_only": True}, "A"),
        ({**SAME, **KEYS, "safe_keys": frozenset({"banner", "title"})}, "A"),
        ({**SAME, **KEYS, "safe_keys": frozenset({"title"})}, "B"),
        ({**SAME, **KEYS, "safe_keys": frozenset({"title"}), "core": True}, "C"),
        ({**SAME, "configuration_only": True, "safe_keys": frozenset({"banner"})}, "B"),
        ({}, "B"),
        (SAME, "B"),
        ({"new_api": True}, "C"),
        ({"infrastructure": True}, "C"),
        ({"core": True}, "D"),
        ({"database_change": True}, "D"),
        ({"traffic_path": True}, "D"),
        ({**SAME, "scale_only": True, "infrastructure": True, "core": True}, "D"),
    ],
)
def test_the_table_of_facts_gives_the_lowest_grade_allowed(item: dict[str, object], grade: str) -> None:
    assert proposal(item).grade == grade


def test_the_highest_part_is_the_grade_of_the_whole() -> None:
    assert proposal({}, {"new_api": True}, {**SAME, "feature_flag": True}).grade == "C"


def test_infrastructure_counts_as_d_when_any_item_is_core() -> None:
    found = proposal(
        {**SAME, "scale_only": True, "infrastructure": True}, {**SAME, "scale_only": True, "core": True}
    )
    assert found.grade == "D"
    assert [reason.fact for reason in found.reasons if reason.grade == "D"] == [Fact.INFRASTRUCTURE]


@pytest.mark.parametrize("claim", ["feature_flag", "scale_only", "configuration_only"])
def test_a_claim_of_only_is_not_believed_where_the_image_changes(claim: str) -> None:
    assert proposal({claim: True}).grade == "B"
    assert proposal({claim: True, "core": True}).grade == "D"


def test_each_fact_of_each_item_is_a_reason_and_the_gravest_stands_first() -> None:
    found = proposal({"new_api": True}, {"core": True, "database_change": True})
    assert [(reason.fact, reason.service) for reason in found.reasons] == [
        (Fact.CORE_SERVICE, "service-1"),
        (Fact.DATABASE_CHANGE, "service-1"),
        (Fact.NEW_API, "service-0"),
        (Fact.NEW_VERSION, "service-0"),
    ]
    assert all(reason.text for reason in found.reasons)


@given(st.data())
def test_a_further_fact_never_lowers_the_grade(data: st.DataObject) -> None:
    flags = ("core", "new_api", "infrastructure", "traffic_path", "database_change")
    item = {flag: data.draw(st.booleans()) for flag in flags}
    item["same_image"] = item["scale_only"] = data.draw(st.booleans())
    more = {**item, data.draw(st.sampled_from(flags)): True}
    assert proposal(more).grade >= proposal(item).grade


@pytest.mark.parametrize(
    ("chosen", "proposed", "lowered"),
    [("B", "D", True), ("D", "D", False), ("D", "B", False), ("E", "D", False), ("A", "B", True)],
)
def test_only_a_lower_ordinary_grade_is_lowered(chosen: str, proposed: str, lowered: bool) -> None:
    assert is_lowered(chosen, proposed) is lowered
