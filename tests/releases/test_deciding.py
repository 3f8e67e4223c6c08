"""Who may decide what when: every verdict, every refusal, and which refusal comes first."""

import pytest

from approvals.models import Decision
from approvals.states import RequestState
from portal.actors import Actor
from portal.audit.models import AuditEntry
from portal.errors import Conflict, Invalid, NotAllowed, NotFound, PortalError
from portal.people.models import User
from portal.people.operations import deactivate_person, grant_role, revoke_role
from releases import operations
from releases.catalog import rights
from releases.jobs import recheck_pending
from releases.models import Release
from releases.queries import objections_of, open_points
from releases.start import missing_for_start, still_approved
from tests.factories import Shop, decide, make_release
from tests.people import BY_THE_PORTAL, acting, person
from tests.soak import long

OTHER = "sha256:" + "0" * 64


def refusal(release: Release, user: User, verdict: str = "approve", **more: str) -> str:
    """The code with which the decision is refused; nothing but one entry in the record is written."""
    decisions, entries = Decision.objects.count(), AuditEntry.objects.count()
    state = Release.objects.get(pk=release.pk).state
    with pytest.raises(PortalError) as error:
        decide(release, user, verdict, **more)
    assert Decision.objects.count() == decisions
    assert Release.objects.get(pk=release.pk).state == state
    is_recorded = isinstance(error.value, NotAllowed | Conflict)
    assert AuditEntry.objects.count() == entries + int(is_recorded)
    return error.value.code


@long
def test_the_last_yes_makes_it_approved_and_starts_nothing(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    decide(release, shop.cast.pl)
    release.refresh_from_db()
    assert release.state == "approved"
    assert release.approved_at is not None
    assert not release.rollouts.exists()


@long
def test_the_author_cannot_decide_on_their_own_release(shop: Shop) -> None:
    release = make_release(shop, at="in_review", author=shop.cast.team_lead)
    assert refusal(release, shop.cast.team_lead) == "self_approval"
    assert refusal(release, shop.cast.team_lead, "send_back", reason="no") == "self_approval"
    assert refusal(release, shop.cast.team_lead, "reject", reason="no") == "self_approval"


def test_an_author_who_becomes_a_lead_afterwards_stays_barred(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    grant_role("author", role="pl", scope="service:shopping-service", actor=BY_THE_PORTAL)
    assert refusal(release, shop.cast.author) == "self_approval"


def test_who_edited_the_content_cannot_approve_it(shop: Shop) -> None:
    release = make_release(shop)
    changed = {"changes": [{"area": "API", "text": "더 많은 변경", "link": None}]}
    editor = acting(shop.cast.pl)
    operations.edit_release(release.number, changed, actor=editor, if_match=release.content_digest)
    operations.submit_release(release.number, actor=acting(shop.cast.author))
    assert refusal(release, shop.cast.pl) == "self_approval"


@long
def test_who_only_changed_the_title_may_still_approve(shop: Shop) -> None:
    release = make_release(shop)
    editor = acting(shop.cast.pl)
    operations.edit_release(release.number, {"title": "x"}, actor=editor, if_match=release.content_digest)
    operations.submit_release(release.number, actor=acting(shop.cast.author))
    decide(release, shop.cast.pl)
    release.refresh_from_db()
    assert release.state == "approved"


@long
def test_who_built_an_image_cannot_approve_it(shop: Shop) -> None:
    release = make_release(shop)
    release.items.update(built_by="pl")
    second = person("second-pl", ("pl", "service:shopping-service"))
    operations.submit_release(release.number, actor=acting(shop.cast.author))
    assert refusal(release, shop.cast.pl) == "self_approval"
    decide(release, second)


@long
def test_nobody_without_an_asked_for_role_decides(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    for user in (
        shop.cast.outsider,
        shop.cast.team_lead,
        shop.cast.administrator,
        shop.cast.qa,
        shop.cast.auditor,
    ):
        assert refusal(release, user) == "not_entitled"
        assert refusal(release, user, "reject", reason="no") == "not_entitled"


def test_the_portal_itself_never_decides(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    with pytest.raises(NotAllowed):
        operations.decide_release(
            release.number,
            actor=Actor.portal("sweep"),
            verdict="approve",
            content_digest=release.content_digest,
        )


def test_a_token_without_the_scope_decide_does_not_decide(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    actor = Actor(user=shop.cast.pl, door="api", token="rp_1", scopes=frozenset({"read", "compose"}))
    with pytest.raises(NotAllowed) as error:
        operations.decide_release(
            release.number, actor=actor, verdict="approve", content_digest=release.content_digest
        )
    assert error.value.code == "not_entitled"


@long
def test_one_person_decides_once_in_a_phase(shop: Shop) -> None:
    lead = person("both-leads", ("team_lead", "team:commerce"), ("team_lead", "team:identity"))
    items = [{"service": name, "version": "3.0.0"} for name in ("payment-service", "auth-service")]
    release = make_release(shop, at="in_review", items=items)
    decide(release, shop.cast.team_lead)
    assert refusal(release, shop.cast.team_lead) == "already_decided"
    decide(release, lead)
    release.refresh_from_db()
    assert release.state == "approved"


@long
def test_one_person_may_fill_the_rows_of_one_role_in_two_scopes(shop: Shop) -> None:
    lead = person("both-leads", ("team_lead", "team:commerce"), ("team_lead", "team:identity"))
    items = [{"service": name, "version": "3.0.0"} for name in ("payment-service", "auth-service")]
    release = make_release(shop, at="in_review", items=items)
    decide(release, lead)
    release.refresh_from_db()
    assert release.state == "approved"


@pytest.mark.parametrize("verdict", ["send_back", "reject", "object"])
@pytest.mark.parametrize("reason", ["", "  \n "])
def test_a_refusal_needs_a_reason(shop: Shop, verdict: str, reason: str) -> None:
    release = make_release(shop, at="in_review")
    with pytest.raises(Invalid) as error:
        decide(release, shop.cast.pl, verdict, reason)
    assert [fault["field"] for fault in error.value.missing] == ["reason"]


@pytest.mark.parametrize("verdict", ["", "yes", "APPROVE", "void", "revoke"])
def test_an_unknown_verdict_is_invalid(shop: Shop, verdict: str) -> None:
    with pytest.raises(Invalid):
        decide(make_release(shop, at="in_review"), shop.cast.pl, verdict, "because")


@long
@pytest.mark.parametrize(("verdict", "state"), [("send_back", "sent_back"), ("reject", "rejected")])
@pytest.mark.parametrize("at", ["in_review", "approved"])
def test_a_refusal_ends_the_round_also_after_approval(shop: Shop, verdict: str, state: str, at: str) -> None:
    second = person("second-pl", ("pl", "service:shopping-service"))
    release = make_release(shop, at=at)
    decide(release, second if at == "approved" else shop.cast.pl, verdict, "not like this")
    release.refresh_from_db()
    assert release.state == state
    assert (release.ended_at is not None) == (state == "rejected")
    assert refusal(release, shop.cast.pl) == "wrong_state"


@long
def test_sending_back_voids_the_decisions_even_when_the_content_stays_the_same(shop: Shop) -> None:
    second = person("second-pl", ("pl", "service:shopping-service"))
    release = make_release(shop, at="approved")
    digest = release.content_digest
    decide(release, second, "send_back", "look again")
    operations.submit_release(release.number, actor=acting(shop.cast.author))
    release.refresh_from_db()
    assert (release.state, release.content_digest) == ("in_review", digest)
    assert [entry["code"] for entry in still_approved(release)] == ["requirement"]


def test_a_decision_on_another_content_is_stale(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    assert refusal(release, shop.cast.pl, content_digest=OTHER) == "stale_digest"
    assert refusal(release, shop.cast.outsider, "object", reason="hm", content_digest=OTHER) == "stale_digest"


@long
def test_state_comes_before_digest_and_digest_before_the_own_release(shop: Shop) -> None:
    release = make_release(shop)
    assert refusal(release, shop.cast.author, content_digest=OTHER) == "wrong_state"
    operations.submit_release(release.number, actor=acting(shop.cast.author))
    assert refusal(release, shop.cast.author, content_digest=OTHER) == "stale_digest"
    assert refusal(release, shop.cast.author) == "self_approval"
    with pytest.raises(Invalid):
        decide(release, shop.cast.author, "reject", "", content_digest=OTHER)


@long
def test_a_superseded_release_says_which_one_replaced_it(shop: Shop) -> None:
    old = make_release(shop, at="in_review")
    new = make_release(shop, at="in_review")
    with pytest.raises(Conflict, match=f"#{new.number}") as error:
        decide(old, shop.cast.pl)
    assert error.value.code == "superseded"
    assert refusal(old, shop.cast.author, content_digest=OTHER) == "superseded"


@long
def test_an_expired_release_cannot_be_approved_even_before_the_sweep(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    request = release.approval_request
    assert request is not None
    request.expires_at = request.opened_at
    request.save(update_fields=["expires_at"])
    assert refusal(release, shop.cast.pl) == "expired"
    recheck_pending()
    release.refresh_from_db()
    assert release.state == "expired"
    assert refusal(release, shop.cast.pl) == "expired"


def test_a_release_in_an_environment_one_may_not_see_is_not_found(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    shop.environment.spec = {"visibility": "private"}
    shop.environment.save(update_fields=["spec"])
    rights.grant()
    with pytest.raises(NotFound):
        decide(release, shop.cast.outsider)
    with pytest.raises(NotFound):
        operations.decide_release(10**9, actor=acting(shop.cast.pl), verdict="approve", content_digest=OTHER)


# Taking back


@long
def test_a_taken_back_approval_opens_the_review_again(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    decision = decide(release, shop.cast.pl)
    operations.take_back_decision(release.number, decision.pk, actor=acting(shop.cast.pl))
    release.refresh_from_db()
    assert (release.state, release.approved_at) == ("in_review", None)
    decide(release, shop.cast.pl, "send_back", "on second thought")
    release.refresh_from_db()
    assert release.state == "sent_back"


@long
def test_nobody_takes_back_the_decision_of_another(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    decision = decide(release, shop.cast.pl)
    for user in (shop.cast.author, shop.cast.team_lead, shop.cast.administrator):
        with pytest.raises(NotAllowed):
            operations.take_back_decision(release.number, decision.pk, actor=acting(user))


@long
def test_a_decision_is_found_under_its_own_release_only(shop: Shop) -> None:
    release, other = make_release(shop, at="in_review"), make_release(shop)
    decision = decide(release, shop.cast.pl)
    with pytest.raises(NotFound):
        operations.take_back_decision(other.number, decision.pk, actor=acting(shop.cast.pl))


@long
def test_a_decision_taken_back_twice_is_refused(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    decision = decide(release, shop.cast.pl)
    operations.take_back_decision(release.number, decision.pk, actor=acting(shop.cast.pl))
    with pytest.raises(Conflict):
        operations.take_back_decision(release.number, decision.pk, actor=acting(shop.cast.pl))


# Holders now and then


@long
def test_a_role_lost_after_deciding_reopens_the_review(shop: Shop) -> None:
    second = person("second-pl", ("pl", "service:shopping-service"))
    release = make_release(shop, at="in_review")
    decide(release, shop.cast.pl)
    revoke_role("pl", role="pl", scope="service:shopping-service", actor=BY_THE_PORTAL)
    release.refresh_from_db()
    (missing,) = still_approved(release)
    assert missing["role"] == "pl"
    assert "Pl" in missing["text"]
    recheck_pending()
    release.refresh_from_db()
    assert release.state == "in_review"
    decide(release, second)
    release.refresh_from_db()
    assert release.state == "approved"


@long
def test_a_deactivated_approver_counts_no_more(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    deactivate_person("pl", actor=BY_THE_PORTAL)
    release = Release.objects.get(pk=release.pk)
    assert [entry["code"] for entry in still_approved(release)] == ["requirement"]
    assert refusal(release, User.objects.get(username="pl"), "reject", reason="late") == "not_found"


@long
def test_a_role_gained_after_deciding_adds_nothing(shop: Shop) -> None:
    items = [{"service": name, "version": "3.0.0"} for name in ("payment-service", "auth-service")]
    release = make_release(shop, at="in_review", items=items)
    decide(release, shop.identity_lead)
    grant_role("identity-lead", role="team_lead", scope="team:commerce", actor=BY_THE_PORTAL)
    recheck_pending()
    release.refresh_from_db()
    assert release.state == "in_review"
    decide(release, shop.cast.team_lead)
    release.refresh_from_db()
    assert release.state == "approved"


@long
def test_a_role_that_the_author_granted_cannot_serve_the_release(shop: Shop) -> None:
    grant_role("administrator", role="release_manager", scope="team:commerce", actor=BY_THE_PORTAL)
    administrator = User.objects.get(username="administrator")
    release = make_release(shop, author=administrator)
    grant_role("outsider", role="pl", scope="service:shopping-service", actor=acting(administrator))
    operations.submit_release(release.number, actor=acting(administrator))
    assert refusal(release, shop.cast.outsider) == "not_entitled"


# Objections


@long
def test_anyone_who_sees_it_may_object_and_it_holds_a_d(shop: Shop) -> None:
    release = make_release(shop, at="in_review", items=[{"service": "payment-service", "version": "3"}])
    objection = decide(release, shop.cast.outsider, "object", "the database is full")
    decide(release, shop.cast.team_lead)
    release = Release.objects.get(pk=release.pk)
    assert release.state == "approved"
    assert [(entry["code"], entry["id"]) for entry in missing_for_start(release)] == [
        ("objection", objection.pk)
    ]
    operations.answer_objection(
        release.number, objection.pk, actor=acting(shop.cast.team_lead), answer="it was emptied"
    )
    assert missing_for_start(release) == []


@long
def test_an_objection_outlives_the_round_it_was_raised_in(shop: Shop) -> None:
    release = make_release(shop, at="in_review", items=[{"service": "payment-service", "version": "3"}])
    objection = decide(release, shop.cast.outsider, "object", "the database is full")
    decide(release, shop.cast.team_lead, "send_back", "say more")
    operations.submit_release(release.number, actor=acting(shop.cast.author))
    release = Release.objects.get(pk=release.pk)
    assert f"objection.{objection.pk}" in open_points(release)


@long
def test_an_objection_is_heard_between_two_rounds_too(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    author = acting(shop.cast.author)
    operations.edit_release(release.number, {"changes": []}, actor=author, if_match=release.content_digest)
    objection = decide(release, shop.cast.outsider, "object", "wait for the database")
    operations.submit_release(release.number, actor=author)
    assert list(objections_of(release)) == [objection]


@long
def test_only_a_decider_answers_an_objection_and_an_auditor_raises_none(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    objection = decide(release, shop.cast.outsider, "object", "hm")
    for user, code in ((shop.cast.author, "self_approval"), (shop.cast.outsider, "not_entitled")):
        with pytest.raises(NotAllowed) as error:
            operations.answer_objection(release.number, objection.pk, actor=acting(user), answer="no")
        assert error.value.code == code
    assert refusal(release, shop.cast.auditor, "object", reason="hm") == "not_entitled"


@long
def test_an_objection_can_be_withdrawn_by_who_raised_it(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    objection = decide(release, shop.cast.outsider, "object", "hm")
    operations.take_back_decision(release.number, objection.pk, actor=acting(shop.cast.outsider))
    assert not objections_of(release).exists()


@long
def test_the_request_follows_the_release(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    assert release.approval_request is not None
    assert release.approval_request.state == RequestState.APPROVED
    operations.withdraw_release(release.number, actor=acting(shop.cast.author))
    release.approval_request.refresh_from_db()
    assert release.approval_request.state == RequestState.VOID
