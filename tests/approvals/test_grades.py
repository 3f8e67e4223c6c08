"""Every row of the grade table, and what the author's claims are worth."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.grades import Fact, ItemFacts, Proposal, is_lowered, propose
from tests.soak import long, many


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
        ({**SAME, "feature_flag": True, "planned": (("database_change", "cronjob/m"),)}, "D"),
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


FLAGS = ("core", "new_api", "infrastructure", "traffic_path", "database_change")
CLAIMS = ("feature_flag", "scale_only", "configuration_only")
any_item: st.SearchStrategy[dict[str, object]] = st.fixed_dictionaries(
    {
        **dict.fromkeys(("same_image", *FLAGS, *CLAIMS), st.booleans()),
        "changed_keys": st.frozensets(st.sampled_from(("banner", "limit")), max_size=2),
        "safe_keys": st.frozensets(st.sampled_from(("banner", "limit")), max_size=2),
        "touches": st.frozensets(st.sampled_from(FLAGS[1:]), max_size=2),
        "planned": st.lists(st.tuples(st.sampled_from(FLAGS[1:]), st.just("object")), max_size=2).map(tuple),
    }
)
any_items = st.lists(any_item, min_size=1, max_size=3)


@long
@pytest.mark.repeated
@many
@given(items=any_items, place=st.integers(0, 2), fact=st.sampled_from(FLAGS), is_known=st.booleans())
def test_a_further_fact_never_lowers_the_grade(
    items: list[dict[str, object]], place: int, fact: str, is_known: bool
) -> None:
    one = items[place % len(items)]
    more = {**one, fact: True}
    if is_known and fact != "core":
        more = {**one, "touches": frozenset({fact}) | one["touches"]}  # type: ignore[operator]
    others = [item for item in items if item is not one]
    assert proposal(*others, more).grade >= proposal(*others, one).grade


@long
@pytest.mark.repeated
@many
@given(item=any_item, claim=st.sampled_from(CLAIMS), key=st.sampled_from(("banner", "limit")))
def test_a_further_claim_or_changed_key_lowers_only_what_nothing_was_said_about(
    item: dict[str, object], claim: str, key: str
) -> None:
    nothing_said = not item["changed_keys"] and not any(item[name] for name in CLAIMS)
    before = proposal(item).grade
    assert nothing_said or proposal({**item, claim: True}).grade >= before
    keyed = proposal({**item, "changed_keys": frozenset({key}) | item["changed_keys"]})  # type: ignore[operator]
    assert keyed.grade >= before or nothing_said or (item["configuration_only"] and not item["changed_keys"])


@long
@pytest.mark.repeated
@many
@given(items=any_items)
def test_the_highest_item_wins_and_every_reason_names_its_own(items: list[dict[str, object]]) -> None:
    found = proposal(*items)
    names = {f"service-{place}" for place in range(len(items))}
    assert {reason.service for reason in found.reasons} == names
    assert found.grade == max(reason.grade for reason in found.reasons)
    assert found.grade >= max(proposal(item).grade for item in items)
    assert all(reason.text and reason.source in {"stated", "measured"} for reason in found.reasons)


def test_reasons_say_what_was_stated_and_what_the_portal_knows() -> None:
    found = proposal(
        {"touches": frozenset({"traffic_path"}), "infrastructure": True},
        {**SAME, **KEYS},
        {"scale_only": True},
        SAME,
    )
    assert {(reason.service[-1], reason.fact, reason.source) for reason in found.reasons} == {
        ("0", "new_version", "measured"),
        ("0", "traffic_path", "measured"),
        ("0", "infrastructure", "stated"),
        ("1", "changed_keys", "measured"),
        ("2", "new_version", "measured"),
        ("2", "not_borne_out", "measured"),
        ("3", "same_version", "measured"),
    }


def test_what_the_plan_does_is_measured_whatever_is_said_and_names_the_object() -> None:
    for said in ({}, {"database_change": True}, {"touches": frozenset({"database_change"})}):
        found = proposal({**said, "planned": (("database_change", "cronjob/migrate"),)})
        [reason] = [each for each in found.reasons if each.fact == Fact.DATABASE_CHANGE]
        assert (reason.source, reason.service) == ("measured", "service-0")
        assert "cronjob/migrate" in reason.origin_text


def test_scaling_by_the_plan_is_measured_and_counts_alone_only_where_the_image_stays() -> None:
    scaled = {"planned": (("scale_only", "web × 6"),), "core": True}
    kept, changed = proposal({**SAME, **scaled}), proposal(scaled)
    assert [(reason.fact, reason.grade, reason.source) for reason in kept.reasons] == [
        ("scale_only", "A", "measured")
    ]
    assert [(reason.fact, reason.grade) for reason in changed.reasons] == [("core_service", "D")]


@long
@given(items=any_items)
def test_every_measured_reason_says_what_it_rests_on_and_no_stated_one_does(
    items: list[dict[str, object]],
) -> None:
    for reason in proposal(*items).reasons:
        assert bool(reason.origin_text) is (reason.source == "measured")


def test_what_a_version_touches_does_not_count_where_the_image_stays() -> None:
    item = {**SAME, "scale_only": True, "touches": frozenset({"traffic_path"})}
    assert proposal(item).grade == "A"


@pytest.mark.parametrize(
    ("chosen", "proposed", "lowered"),
    [("B", "D", True), ("D", "D", False), ("D", "B", False), ("E", "D", False), ("A", "B", True)],
)
def test_only_a_lower_ordinary_grade_is_lowered(chosen: str, proposed: str, lowered: bool) -> None:
    assert is_lowered(chosen, proposed) is lowered
