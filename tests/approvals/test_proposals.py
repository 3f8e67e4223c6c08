"""A change of the policy is signed under the old and the new policy, by others than its author."""

from typing import Any

import pytest

from approvals import policy_table
from approvals.models import Decision, PolicyProposal, PolicyVersion, Request
from approvals.operations import publish_policy
from approvals.operations.proposals import signing_rows
from approvals.policy import People
from portal.audit.models import AuditEntry
from portal.errors import Conflict, Invalid, NotAllowed
from portal.outbox.models import Message
from portal.people.models import User
from portal.people.operations import grant_role, revoke_role
from releases.catalog.policies import operations as policies
from tests.factories import Shop, make_release
from tests.factories import policy_table as example
from tests.people import BY_THE_PORTAL, acting, person
from tests.soak import long


@pytest.fixture
def second(shop: Shop) -> User:
    """Another director beside the cast's."""
    return person("second", ("director", "*"))


def propose(shop: Shop, table: dict[str, Any] | None = None, *, author: User | None = None) -> PolicyProposal:
    """Propose that grade B waits 24 hours only, or another table."""
    wanted = example(B={"deadlineHours": 24}) if table is None else table
    return policies.propose(wanted, actor=acting(author or shop.cast.administrator), note="Faster.")


def sign(proposal: PolicyProposal, user: User, verdict: str = "approve", **more: Any) -> Decision:
    """Decide on the proposal as it is."""
    digest = more.pop("content_digest", proposal.content_digest)
    return policies.decide(
        proposal.pk, actor=acting(user), verdict=verdict, content_digest=digest, reason="Because.", **more
    )


def answer(proposal: PolicyProposal, objection: Decision, user: User) -> Decision:
    """Answer an objection."""
    return policies.answer(proposal.pk, objection.pk, actor=acting(user), answer="We thought of it.")


def refusal(act: Any) -> str:
    """The code with which an act is refused."""
    with pytest.raises((Conflict, NotAllowed, Invalid)) as error:
        act()
    return error.value.code


@long
def test_two_signatures_put_it_into_force_for_what_is_submitted_later(shop: Shop, second: User) -> None:
    old = make_release(shop, at="in_review")
    proposal = propose(shop)
    row = proposal.approval_request.requirements.get()  # type: ignore[union-attr]
    assert (row.role, row.count, row.because) == ("director", 2, ["in_force", "proposed"])
    sign(proposal, shop.cast.director)
    assert PolicyVersion.objects.count() == 1
    sign(proposal, second)
    proposal.refresh_from_db()
    assert (proposal.state, proposal.became.version) == ("accepted", 2)  # type: ignore[union-attr]
    new = make_release(shop, at="in_review")
    assert (old.policy_version, new.policy_version) == (1, 2)
    entry = AuditEntry.objects.get(action="policy.changed", subject="2")
    assert proposal.content_digest in entry.body


def test_the_author_and_administrators_have_no_way_around(shop: Shop, second: User) -> None:
    grant_role("second", role="administrator", scope="*", actor=BY_THE_PORTAL)
    proposal = propose(shop)
    assert refusal(lambda: sign(proposal, shop.cast.administrator)) == "self_approval"
    assert refusal(lambda: sign(proposal, shop.cast.pl)) == "not_entitled"
    sign(proposal, second)
    assert refusal(lambda: sign(proposal, second)) == "already_decided"
    grant_role("pl", role="director", scope="*", actor=acting(shop.cast.administrator))
    assert refusal(lambda: sign(proposal, shop.cast.pl)) == "not_entitled"
    stale = {"content_digest": "sha256:0"}
    assert refusal(lambda: sign(proposal, shop.cast.director, **stale)) == "stale_digest"
    assert PolicyVersion.objects.count() == 1
    assert AuditEntry.objects.filter(action="proposal.refused").count() == 5


def test_sent_back_it_is_over_and_another_may_be_proposed(shop: Shop, second: User) -> None:
    proposal = propose(shop)
    with pytest.raises(Invalid):
        policies.decide(
            proposal.pk, actor=acting(second), verdict="send_back", content_digest=proposal.content_digest
        )
    sign(proposal, second, "send_back")
    proposal.refresh_from_db()
    assert proposal.state == "sent_back"
    assert refusal(lambda: sign(proposal, shop.cast.director)) == "wrong_state"
    told = Message.objects.get(key=f"proposal.{proposal.pk}.settled:administrator")
    assert told.body == "Because."
    assert propose(shop).state == "open"


@long
def test_anybody_but_an_auditor_objects_and_a_signer_answers(shop: Shop, second: User) -> None:
    proposal = propose(shop)
    assert refusal(lambda: sign(proposal, shop.cast.auditor, "object")) == "not_entitled"
    objection = sign(proposal, shop.cast.outsider, "object")
    told = Message.objects.filter(key__startswith=f"proposal.{proposal.pk}.objection.{objection.pk}:")
    assert {message.recipient for message in told} >= {"administrator", "director", "second"}
    for user, code in ((shop.cast.pl, "not_entitled"), (shop.cast.administrator, "self_approval")):
        assert refusal(lambda user=user: answer(proposal, objection, user)) == code
    assert answer(proposal, objection, second).answered_by == second
    assert refusal(lambda: answer(proposal, objection, second)) == "wrong_state"
    sign(proposal, second)
    sign(proposal, shop.cast.director)
    proposal.refresh_from_db()
    assert proposal.state == "accepted"


def test_an_objection_is_taken_back_by_who_raised_it(shop: Shop, second: User) -> None:
    proposal = propose(shop)
    objection = sign(proposal, second, "object")
    policies.take_back(proposal.pk, objection.pk, actor=acting(second))
    assert refusal(lambda: answer(proposal, objection, shop.cast.director)) == "wrong_state"
    sign(proposal, second)


@long
def test_a_signature_is_taken_back_and_one_whose_role_ended_does_not_count(shop: Shop, second: User) -> None:
    proposal = propose(shop)
    third = person("third", ("director", "*"))
    first = sign(proposal, third)
    policies.take_back(proposal.pk, first.pk, actor=acting(third))
    sign(proposal, shop.cast.director)
    revoke_role("director", role="director", scope="*", actor=BY_THE_PORTAL)
    sign(proposal, second)
    assert PolicyProposal.objects.get().state == "open"
    sign(proposal, third)
    assert PolicyProposal.objects.get().state == "accepted"


def test_one_no_ends_it_and_its_author_may_withdraw(shop: Shop, second: User) -> None:
    proposal = propose(shop)
    sign(proposal, second, "reject")
    assert PolicyProposal.objects.get().state == "rejected"
    assert refusal(lambda: sign(proposal, shop.cast.director)) == "wrong_state"
    again = propose(shop)
    assert refusal(lambda: policies.withdraw(again.pk, actor=acting(second))) == "not_entitled"
    policies.withdraw(again.pk, actor=acting(shop.cast.administrator))
    again.refresh_from_db()
    assert (again.state, Request.objects.get(subject=again.subject).state) == ("withdrawn", "void")


def test_there_is_one_change_at_a_time(shop: Shop, second: User) -> None:
    propose(shop)
    assert refusal(lambda: propose(shop, example(C={"deadlineHours": 1}))) == "proposal_open"
    assert refusal(lambda: policies.propose(example(), actor=acting(shop.cast.director), note="x")) == (
        "not_entitled"
    )


def test_the_same_table_in_other_words_is_no_change(shop: Shop, second: User) -> None:
    same = example(B={"deadline_hours": 72.0, "signoff_by_another": False})
    same["B"].pop("deadlineHours")
    assert refusal(lambda: propose(shop, same)) == "no_change"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"review": []},
        {"review": [{"role": "pl", "scope": "service", "count": 0}]},
        {"review": [{"role": "pl", "scope": "service", "count": -1}]},
        {"review": [{"role": "pl", "scope": "service", "count": True}]},
        {"review": [{"role": "king", "scope": "service"}]},
    ],
)
def test_an_empty_or_senseless_table_is_refused(shop: Shop, second: User, wrong: dict[str, Any]) -> None:
    table = example(B=wrong) if wrong else {}
    assert refusal(lambda: propose(shop, table)) == "invalid"
    assert not PolicyProposal.objects.exists()


def test_a_policy_that_nobody_can_fulfil_names_service_grade_and_role(shop: Shop, second: User) -> None:
    table = example(
        C={"review": [{"role": "qa", "scope": "team"}, {"role": "infra_senior", "scope": "team"}]}
    )
    revoke_role("qa", role="qa", scope="*", actor=BY_THE_PORTAL)
    with pytest.raises(Conflict) as error:
        propose(shop, table)
    assert error.value.code == "unfulfillable"
    named = {(each["service"], each["grade"], each["role"]) for each in error.value.missing}
    assert named == {(name, "C", "qa") for name in ("shopping-service", "payment-service", "auth-service")}


def test_a_change_that_nobody_could_sign_is_refused(shop: Shop) -> None:
    with pytest.raises(Conflict) as error:
        propose(shop)
    assert error.value.code == "unfulfillable"
    assert [each["role"] for each in error.value.missing] == ["director"]


def test_who_signs_is_data_and_both_tables_have_their_say() -> None:
    old = {**example(), "change": [{"role": "team_lead", "count": 2}]}
    new = {**example(), "change": [{"role": "director", "or": ["infra_senior"]}]}
    rows = signing_rows(old, new, People(holders={}))
    assert [(row.role, row.count, row.because) for row in rows] == [
        ("team_lead", 2, ("in_force",)),
        ("director", 1, ("proposed",)),
    ]
    both = signing_rows(new, example(), People(holders={("infra_senior", "*"): frozenset({1, 2})}))
    assert [(row.count, row.accepted, row.fulfillable) for row in both] == [(2, (("director", "*"),), False)]


def test_a_change_signed_after_another_policy_came_into_force_is_refused(shop: Shop, second: User) -> None:
    proposal = propose(shop)
    sign(proposal, second)
    publish_policy(example(A={"deadlineHours": 1}), actor=BY_THE_PORTAL)
    assert refusal(lambda: sign(proposal, shop.cast.director)) == "wrong_state"
    assert PolicyVersion.objects.count() == 2


def test_a_table_means_the_same_after_it_was_written_anew() -> None:
    written = policy_table.canonical(example())
    assert policy_table.canonical(written) == written
    assert policy_table.read(written) == policy_table.read(example())
