"""Who could approve what agrees with what a submission is told, and is worked out quickly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals import coverage, policy, policy_table
from approvals.coverage import Concern, find_gaps
from approvals.matching import Capacity
from approvals.policy import Part, People
from portal.errors import Conflict
from portal.people.operations import revoke_role
from releases import operations
from releases.catalog.policies.coverage import look
from tests.factories import Shop, make_release
from tests.factories import policy_table as example
from tests.people import BY_THE_PORTAL, acting
from tests.soak import long

ROLES = ["pl", "team_lead", "infra_senior", "director", "qa"]
SCOPES = ["service:a", "service:b", "team:x", "team:y", "cluster_group:g", "*"]
PLACES = [("a", "x", "g"), ("b", "x", "h"), ("c", "y", "g")]
TWO_LEADS = {"review": [{"role": "team_lead", "scope": "team", "count": 2}]}
TABLES = [
    example(),
    example(B=TWO_LEADS, C={"review": [{"role": "qa", "scope": "service", "or": ["pl"]}]}),
    example(A={"review": [{"role": "pl", "scope": "service", "author_climbs": False}]}, D=TWO_LEADS),
]
capacities = st.tuples(st.sampled_from(ROLES), st.sampled_from(SCOPES))
holders = st.dictionaries(capacities, st.frozensets(st.integers(1, 5), min_size=1), max_size=9)


@long
@given(held=holders, table=st.sampled_from(TABLES), authors=st.frozensets(st.integers(1, 6)))
def test_a_gap_is_what_a_submission_by_that_author_would_lack(
    held: dict[Capacity, frozenset[int]], table: dict[str, object], authors: frozenset[int]
) -> None:
    grades = policy_table.read(table)
    concerns = [
        Concern(service=name, team=team, cluster_group=group, authors=authors) for name, team, group in PLACES
    ]
    found = find_gaps(grades, concerns, held)
    for name, team, group in PLACES:
        part = Part(service=name, team=team, cluster_group=group, facts=policy_table.CONDITIONS)
        for author in (None, *authors):
            people = People(holders=held, author=author, barred=frozenset({author} - {None}))  # type: ignore[arg-type]
            for letter, rules in grades.items():
                lacking = policy.missing(policy.requirements(rules, [part], people))
                told = {
                    (gap.phase, gap.role, gap.scope)
                    for gap in found
                    if (gap.service, gap.grade) == (name, letter) and gap.author in {None, author}
                }
                rows = {(row.phase, row.role, row.scope) for row in lacking}
                assert rows <= told
                own = {
                    (gap.phase, gap.role, gap.scope)
                    for gap in found
                    if (gap.service, gap.grade, gap.author) == (name, letter, author)
                }
                assert own <= rows


@long
@pytest.mark.django_db
def test_the_look_agrees_with_submitting(shop: Shop) -> None:
    for user in ("pl", "director"):
        role, scope = ("pl", "service:shopping-service") if user == "pl" else ("director", "*")
        revoke_role(user, role=role, scope=scope, actor=BY_THE_PORTAL)
    found = look()
    assert found is not None
    lacking = {
        (gap["service"], gap["grade"], gap["author"]) for gap in found.gaps if gap["phase"] == "review"
    }
    for author in (shop.cast.author, shop.cast.team_lead):
        draft = make_release(shop, author=author)
        expected = ("shopping-service", draft.grade, author.username) in lacking
        if expected:
            with pytest.raises(Conflict) as error:
                operations.submit_release(draft.number, actor=acting(author))
            assert error.value.code == "unfulfillable"
        else:
            operations.submit_release(draft.number, actor=acting(author))
    assert ("shopping-service", "C", "lead") in lacking


def test_hundreds_of_services_and_people_ask_the_policy_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    held: dict[Capacity, frozenset[int]] = {("director", "*"): frozenset({1, 2})}
    concerns = []
    for number in range(400):
        team = f"team{number % 40}"
        held["pl", f"service:s{number}"] = frozenset({1000 + number})
        held["team_lead", f"team:{team}"] = frozenset({100 + number % 40})
        authors = frozenset(range(100, 400)) | {1000 + number}
        concerns.append(Concern(service=f"s{number}", team=team, cluster_group="g", authors=authors))
    asked = []

    def counted(*args: object, **more: object) -> list[policy.RequiredRow]:
        asked.append(args)
        return policy.requirements(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(coverage, "requirements", counted)
    assert find_gaps(policy_table.read(example()), concerns, held) == []
    assert len(asked) <= 5 * 5
