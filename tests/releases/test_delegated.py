"""Deciding for somebody by delegation: what it is worth, and what it is not (rules.md; attacks.md, 1a)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from approvals.models import Decision
from approvals.operations import publish_policy
from portal import clock
from portal.audit.models import AuditEntry
from portal.delegations.operations import end_delegation
from portal.errors import Conflict, Invalid, NotAllowed, PortalError
from portal.outbox.models import Message
from portal.people.models import User
from portal.people.operations import deactivate_person, grant_role, revoke_role, set_roles
from releases import operations
from releases.inbox import inbox
from releases.jobs import recheck_pending
from releases.models import Release
from releases.start import require_startable, still_approved
from tests.delegating import WEEK, give, let_run_out
from tests.factories import Shop, decide, make_release, policy_table, roll_out, verify
from tests.people import BY_THE_PORTAL, acting, person
from tests.portal.api import ApiClient
from tests.soak import long

PL = ("pl", "service:shopping-service")
LEAD = ("team_lead", "team:commerce")
IDENTITY = ("team_lead", "team:identity")
BOTH = [{"service": name, "version": "3"} for name in ("payment-service", "auth-service")]


def code_of(act: Callable[[], Any]) -> str:
    """The code that an act is refused with, "" where it is not."""
    try:
        act()
    except PortalError as error:
        return error.code
    return ""


def state_of(release: Release) -> str:
    """How far it is, read again."""
    return Release.objects.values_list("state", flat=True).get(pk=release.pk)


def send(user: User, release: Release, **body: Any) -> tuple[int, dict[str, Any]]:
    """Decide by the API."""
    release.refresh_from_db()
    sent = {"verdict": "approve", "content_digest": release.content_digest, **body}
    answer = ApiClient(user).post(f"/releases/{release.number}/decisions", sent)
    return answer.status_code, json.loads(answer.content)


@long
def test_a_delegate_approves_for_the_giver_and_the_record_says_so(shop: Shop) -> None:
    given = give(shop.cast.pl, shop.cast.outsider, *PL)
    release = make_release(shop, at="in_review")
    status, answer = send(shop.cast.outsider, release, **{"for": "pl"})
    assert (status, answer["by"], answer["for"], answer["state"]) == (201, "outsider", "pl", "approved")
    entry = json.loads(AuditEntry.objects.get(action="decision.approve", release=release.number).body)
    assert entry["actor"]["name"] == "outsider"
    assert entry["actor"]["on_behalf_of"] == "pl"
    assert entry["after"]["delegations"] == [given.pk]
    assert still_approved(release) == []


@long
def test_the_giver_goes_without_saying_where_there_is_one_and_no_right_of_ones_own(shop: Shop) -> None:
    give(shop.cast.pl, shop.cast.outsider, *PL)
    decision = decide(make_release(shop, at="in_review"), shop.cast.outsider)
    assert decision.on_behalf_of == shop.cast.pl


@long
def test_who_stands_in_for_several_says_for_whom(shop: Shop) -> None:
    second = person("second-pl", PL)
    for giver in (shop.cast.pl, second):
        give(giver, shop.cast.outsider, *PL)
    release = make_release(shop, at="in_review")
    with pytest.raises(Invalid) as error:
        decide(release, shop.cast.outsider)
    assert [fault["field"] for fault in error.value.missing] == ["for"]
    assert decide(release, shop.cast.outsider, on_behalf_of="second-pl").on_behalf_of == second


@long
def test_a_right_of_ones_own_comes_first_and_each_fills_its_own_row(shop: Shop) -> None:
    give(shop.identity_lead, shop.cast.team_lead, *IDENTITY)
    release = make_release(shop, at="in_review", items=BOTH)
    own = decide(release, shop.cast.team_lead)
    assert (own.on_behalf_of, own.capacities) == (None, [list(LEAD)])
    assert state_of(release) == "in_review"
    again = code_of(lambda: decide(release, shop.cast.team_lead, on_behalf_of="identity-lead"))
    assert again == "already_decided"
    operations.take_back_decision(release.number, own.pk, actor=acting(shop.cast.team_lead))
    decide(release, shop.cast.team_lead, on_behalf_of="identity-lead")
    assert code_of(lambda: decide(release, shop.cast.team_lead)) == "already_decided"
    assert [row["role"] for row in still_approved(release)] == ["team_lead"]


@long
def test_a_mandate_counts_once_whoever_is_first(shop: Shop) -> None:
    grade = {"review": [{"role": "pl", "scope": "service", "count": 2}]}
    second = person("second-pl", PL)
    ask_in_grade_b(grade)
    give(shop.cast.pl, shop.cast.outsider, *PL)
    one = make_release(shop, at="in_review")
    decide(one, shop.cast.outsider)
    assert code_of(lambda: decide(one, shop.cast.pl)) == "already_decided"
    other = make_release(shop, at="in_review", items=[{"service": "shopping-service", "version": "9"}])
    decide(other, shop.cast.pl)
    assert code_of(lambda: decide(other, shop.cast.outsider)) == "already_decided"
    assert state_of(other) == "in_review"
    decide(other, second)
    assert state_of(other) == "approved"


def ask_in_grade_b(grade: dict[str, Any]) -> None:
    """Put a policy in force in which grade B asks for something else."""
    publish_policy(policy_table(B=grade), actor=BY_THE_PORTAL)


@long
def test_one_mandate_in_the_hands_of_two_counts_once(shop: Shop) -> None:
    give(shop.cast.pl, shop.cast.outsider, *PL)
    give(shop.cast.pl, shop.cast.qa, *PL)
    person("second-pl", PL)
    ask_in_grade_b({"review": [{"role": "pl", "scope": "service", "count": 2}]})
    release = make_release(shop, at="in_review")
    decide(release, shop.cast.outsider)
    assert code_of(lambda: decide(release, shop.cast.qa)) == "already_decided"


@long
@pytest.mark.parametrize("named", ["pl", None])
def test_nobody_decides_for_the_author_nor_does_the_author_for_another(shop: Shop, named: str | None) -> None:
    grant_role("author", role=LEAD[0], scope=LEAD[1], actor=BY_THE_PORTAL)
    grant_role("lead", role="release_manager", scope="team:commerce", actor=BY_THE_PORTAL)
    give(shop.cast.author, shop.cast.outsider, *LEAD)
    give(shop.cast.pl, shop.cast.author, *PL)
    by_author = make_release(shop, at="in_review")
    assert send(shop.cast.author, by_author, **{"for": named})[1]["code"] == "self_approval"
    facts = {"new_api": True}
    asks_leads = make_release(shop, at="in_review", facts=facts)
    status, answer = send(shop.cast.outsider, asks_leads, **{"for": "author" if named else None})
    assert (status, answer["code"]) == (403, "self_approval")
    assert not Decision.objects.exists()


@long
def test_a_name_that_gave_nothing_opens_nothing(shop: Shop) -> None:
    give(shop.cast.pl, shop.cast.outsider, *PL)
    release = make_release(shop, at="in_review")
    refused = [
        lambda: decide(release, shop.cast.qa, on_behalf_of="pl"),
        lambda: decide(release, shop.cast.outsider, on_behalf_of="lead"),
        lambda: decide(release, shop.cast.outsider, on_behalf_of="nobody-here"),
        lambda: decide(release, shop.cast.pl, on_behalf_of="pl"),
    ]
    assert [code_of(act) for act in refused] == ["not_entitled"] * 4
    assert AuditEntry.objects.filter(action="decision.refused", release=release.number).count() == 4
    assert not Decision.objects.exists()


@long
def test_before_its_time_and_after_it_a_delegation_is_worth_nothing(shop: Shop) -> None:
    later = clock.now() + WEEK
    give(shop.cast.pl, shop.cast.outsider, *PL, starts_at=later, ends_at=later + WEEK)
    let_run_out(give(shop.cast.pl, shop.cast.qa, *PL))
    release = make_release(shop, at="in_review")
    for user in (shop.cast.outsider, shop.cast.qa):
        assert send(user, release, **{"for": "pl"})[0] == 403
        assert not inbox(user)


@long
def test_what_was_decided_before_a_delegation_ran_out_still_counts(shop: Shop) -> None:
    given = give(shop.cast.pl, shop.cast.outsider, *PL)
    release = make_release(shop, at="in_review")
    decide(release, shop.cast.outsider)
    let_run_out(given)
    recheck_pending()
    assert state_of(release) == "approved"
    roll_out(release, shop)


def _ended(shop: Shop) -> None:
    given = shop.cast.pl.delegations_given.get()
    end_delegation(given.pk, actor=acting(shop.cast.pl))


ENDS: dict[str, Callable[[Shop], object]] = {
    "ended early": _ended,
    "giver moved": lambda _shop: revoke_role("pl", role=PL[0], scope=PL[1], actor=BY_THE_PORTAL),
    "giver closed": lambda _shop: deactivate_person("pl", actor=BY_THE_PORTAL),
    "taker closed": lambda _shop: deactivate_person("stand-in", actor=BY_THE_PORTAL),
    "taker moved": lambda _shop: set_roles(
        "stand-in", wanted=[("pl", "service:auth-service")], actor=BY_THE_PORTAL
    ),
}


@long
@pytest.mark.parametrize("why", ENDS)
def test_a_delegation_that_fell_away_opens_the_row_again(shop: Shop, why: str) -> None:
    person("second-pl", PL)
    stand_in = person("stand-in", ("pl", "service:payment-service"))
    give(shop.cast.pl, stand_in, *PL)
    release = make_release(shop, at="in_review")
    decide(release, stand_in)
    assert state_of(release) == "approved"
    ENDS[why](shop)
    with pytest.raises(Conflict) as error:
        require_startable(Release.objects.get(pk=release.pk), actor=acting(shop.cast.author))
    assert "Stand-in" in str(error.value.detail)
    recheck_pending()
    assert state_of(release) == "in_review"
    decide(release, User.objects.get(username="second-pl"))
    assert state_of(release) == "approved"


def test_a_role_the_delegate_did_not_lose_alone_is_no_move(shop: Shop) -> None:
    stand_in = person("stand-in", ("pl", "service:payment-service"), ("qa", "*"))
    give(shop.cast.pl, stand_in, *PL)
    release = make_release(shop, at="in_review")
    decide(release, stand_in)
    revoke_role("stand-in", role="qa", scope="*", actor=BY_THE_PORTAL)
    assert still_approved(Release.objects.get(pk=release.pk)) == []


@long
def test_who_takes_the_mandate_back_may_decide_again(shop: Shop) -> None:
    given = give(shop.cast.pl, shop.cast.outsider, *PL)
    release = make_release(shop, at="in_review")
    decide(release, shop.cast.outsider)
    assert code_of(lambda: decide(release, shop.cast.pl, "reject", "no")) == "already_decided"
    end_delegation(given.pk, actor=acting(shop.cast.pl))
    recheck_pending()
    assert [row.kind for row in inbox(shop.cast.pl)] == ["decision"]
    decide(release, shop.cast.pl, "reject", "no")
    assert state_of(release) == "rejected"


@long
def test_a_delegation_that_the_author_made_for_the_occasion_is_worth_nothing(shop: Shop) -> None:
    grant_role("author", role="administrator", scope="*", actor=BY_THE_PORTAL)
    release = make_release(shop, at="in_review")
    give(shop.cast.pl, shop.cast.outsider, *PL, actor=shop.cast.author)
    assert code_of(lambda: decide(release, shop.cast.outsider)) == "not_entitled"
    assert decide(make_release(shop, at="in_review"), shop.cast.outsider).on_behalf_of == shop.cast.pl


@long
def test_delegates_make_no_chain_possible(shop: Shop) -> None:
    give(shop.cast.pl, shop.cast.outsider, *PL)
    grant_role("pl", role="release_manager", scope="team:commerce", actor=BY_THE_PORTAL)
    release = make_release(shop, at="in_review", author=shop.cast.pl)
    (row,) = [
        row
        for row in ApiClient(shop.cast.pl).get(f"/releases/{release.number}").json()["requirements"]
        if row["phase"] == "review"
    ]
    assert (row["role"], row["stand_ins"]) == ("team_lead", [])
    assert code_of(lambda: decide(release, shop.cast.outsider)) == "not_entitled"


@long
def test_a_delegate_signs_off_but_for_nobody_who_started_it(shop: Shop) -> None:
    give(shop.cast.team_lead, shop.cast.outsider, *LEAD)
    release = make_release(shop, at="approved")
    rollout = roll_out(release, shop)
    verify(release)
    rollout.started_by = shop.cast.team_lead
    rollout.save(update_fields=["started_by"])
    sent = {"verdict": "approve", "for": "lead"}
    client = ApiClient(shop.cast.outsider)
    assert client.post(f"/rollouts/{rollout.pk}/signoff", sent).json()["code"] == "self_approval"
    rollout.started_by = shop.cast.author
    rollout.save(update_fields=["started_by"])
    assert client.post(f"/rollouts/{rollout.pk}/signoff", sent).status_code == 201
    assert Decision.objects.get(phase="signoff").on_behalf_of == shop.cast.team_lead


@long
def test_where_another_must_sign_off_neither_giver_nor_delegate_is_another(shop: Shop) -> None:
    ask_in_grade_b({"signoff_by_another": True})
    give(shop.cast.pl, shop.cast.outsider, *PL)
    release = make_release(shop, at="in_review")
    decide(release, shop.cast.outsider)
    roll_out(release, shop)
    verify(release)
    for user in (shop.cast.pl, shop.cast.outsider):
        actor = acting(user)
        with pytest.raises(NotAllowed):
            operations.sign_off_result(release.number, actor=actor, verdict="approve")
    assert not inbox(shop.cast.outsider)


@long
def test_an_objection_is_ones_own(shop: Shop) -> None:
    give(shop.cast.pl, shop.cast.outsider, *PL)
    release = make_release(shop, at="in_review")
    with pytest.raises(Invalid):
        decide(release, shop.cast.outsider, "object", "no", on_behalf_of="pl")
    objection = decide(release, shop.cast.qa, "object", "wait")
    with pytest.raises(NotAllowed):
        operations.answer_objection(
            release.number, objection.pk, actor=acting(shop.cast.qa), answer="I answer myself"
        )
    operations.answer_objection(
        release.number, objection.pk, actor=acting(shop.cast.outsider), answer="for the PL"
    )


@long
def test_the_inbox_says_for_whom_until_it_is_decided(shop: Shop) -> None:
    give(shop.cast.pl, shop.cast.outsider, *PL)
    release = make_release(shop, at="in_review")
    assert Message.objects.filter(recipient="outsider", key__contains=f"release.{release.number}.").exists()
    (row,) = ApiClient(shop.cast.outsider).get("/inbox").json()["items"]
    assert (row["kind"], row["release"], row["for"]) == ("decision", release.number, "pl")
    (row,) = ApiClient(shop.cast.pl).get("/inbox").json()["items"]
    assert row["for"] is None
    client = Client()
    client.force_login(shop.cast.outsider)
    assert "for Pl" in client.get("/", headers={"accept-language": "en"}).content.decode()
    decide(release, shop.cast.outsider)
    assert not inbox(shop.cast.outsider)
    assert not inbox(shop.cast.pl)


@long
def test_the_pages_offer_both_names_and_show_who_decided_for_whom(shop: Shop) -> None:
    second = person("second-pl", PL)
    give(shop.cast.pl, shop.cast.outsider, *PL)
    give(second, shop.cast.outsider, *PL)
    release = make_release(shop, at="in_review")
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop.cast.outsider)
    review = f"/releases/{release.number}/review/"
    client.force_login(shop.cast.author)
    assert "Outsider for Second-pl" in client.get(review).content.decode()
    client.force_login(shop.cast.outsider)
    panel = f"/releases/{release.number}/decide/approve/"
    page = client.get(panel).content.decode()
    assert page.count('name="for"') == 2
    sent = {"content_digest": Release.objects.get(pk=release.pk).content_digest}
    assert client.post(panel, sent).status_code == 422
    answer = client.post(panel, {**sent, "for": "second-pl"})
    assert (answer.status_code, state_of(release)) == (302, "approved")
    assert "Outsider for Second-pl" in client.get(review).content.decode()
