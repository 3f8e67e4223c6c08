"""From approved to closed: what a start needs, checks, sign-off, announcement, and the engine's doors."""

from typing import Any

import pytest
from django.utils import translation

from approvals.operations import publish_policy
from approvals.states import Verdict
from portal.errors import Conflict, Invalid, NotAllowed, NotFound
from portal.outbox.models import Message
from portal.people.operations import revoke_role
from releases import operations, queries
from releases.announcement import Announcement, write
from releases.models import Check, Release
from releases.rollouts.models import Rollout, Step
from releases.start import missing_for_start, require_startable, still_approved
from tests.factories import ENGINE, Shop, decide, make_checklist, make_release, policy_table, roll_out, verify
from tests.people import BY_THE_PORTAL, acting, person
from tests.soak import long


def verified(shop: Shop, **changes: Any) -> Release:
    """A release whose rollout was verified."""
    release = make_release(shop, at="approved", **changes)
    roll_out(release, shop)
    return verify(release)


def refused_start(release: Release, shop: Shop, *, queued_behind: str = "") -> Conflict:
    """The refusal of a start."""
    fresh = Release.objects.get(pk=release.pk)
    with pytest.raises(Conflict) as error:
        require_startable(fresh, actor=acting(shop.cast.author), queued_behind=queued_behind)
    return error.value


# The start


@long
def test_an_approved_release_may_be_started_by_its_author(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    require_startable(release, actor=acting(shop.cast.author))
    assert missing_for_start(release) == []


@long
def test_a_start_without_all_approvals_lists_the_open_rows(shop: Shop) -> None:
    items = [{"service": name, "version": "3"} for name in ("payment-service", "auth-service")]
    release = make_release(shop, at="in_review", items=items)
    decide(release, shop.cast.team_lead)
    error = refused_start(release, shop)
    assert error.code == "not_approved"
    assert [(entry["role"], entry["scope"]) for entry in error.missing] == [("team_lead", "identity")]


@long
def test_everything_missing_is_told_together(shop: Shop) -> None:
    make_checklist({"phase": "before", "text": "시험 통과"})
    release = make_release(shop, at="in_review", items=[{"service": "payment-service", "version": "3"}])
    decide(release, shop.cast.outsider, Verdict.OBJECT, "wait")
    release.items.update(digest="sha256:" + "1" * 64)
    error = refused_start(release, shop, queued_behind="rollout 7")
    assert error.code == "not_approved"
    assert [entry["code"] for entry in error.missing] == [
        "requirement",
        "digest",
        "checklist",
        "objection",
        "queue",
    ]


@long
@pytest.mark.parametrize(
    ("kind", "code"), [("checklist", "checklist_open"), ("queue", "queue"), ("digest", "digest")]
)
def test_one_kind_alone_gives_its_own_code(shop: Shop, kind: str, code: str) -> None:
    if kind == "checklist":
        make_checklist({"phase": "before", "text": "시험 통과"})
    release = make_release(shop, at="approved")
    if kind == "digest":
        release.changes.all().delete()
    error = refused_start(release, shop, queued_behind="rollout 7" if kind == "queue" else "")
    assert error.code == code
    assert {entry["code"] for entry in error.missing} == {kind}


@pytest.mark.parametrize("at", ["draft", "withdrawn"])
def test_the_state_comes_before_everything_missing(shop: Shop, at: str) -> None:
    release = make_release(shop)
    if at == "withdrawn":
        operations.withdraw_release(release.number, actor=acting(shop.cast.author))
    assert refused_start(release, shop).code == "wrong_state"


@long
def test_a_superseded_release_is_not_started(shop: Shop) -> None:
    old = make_release(shop, at="approved")
    make_release(shop, at="in_review")
    assert refused_start(old, shop).code == "superseded"


@long
def test_a_start_needs_the_deploy_right(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    for user in (shop.cast.outsider, shop.cast.auditor, shop.cast.qa, shop.cast.director):
        with pytest.raises(NotAllowed):
            require_startable(release, actor=acting(user))


# Between start and first act


@long
def test_an_approval_is_taken_back_until_the_first_act_and_then_no_more(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    decision = decide(release, shop.cast.pl)
    release.refresh_from_db()
    rollout = roll_out(release, shop)
    operations.take_back_decision(release.number, decision.pk, actor=acting(shop.cast.pl))
    release = Release.objects.get(pk=release.pk)
    assert release.state == "rolling_out"
    assert [entry["code"] for entry in still_approved(release)] == ["requirement"]
    Step.objects.create(rollout=rollout, key="a", kind="set_image", acted_at=release.created_at)
    with pytest.raises(Conflict):
        operations.take_back_decision(release.number, decision.pk, actor=acting(shop.cast.pl))


@long
def test_nobody_approves_or_edits_what_has_started(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    roll_out(release, shop)
    for verdict in (Verdict.APPROVE, Verdict.REJECT, Verdict.SEND_BACK):
        with pytest.raises(Conflict):
            decide(release, shop.cast.pl, verdict, "late")
    with pytest.raises(Conflict):
        operations.edit_release(
            release.number, {"changes": []}, actor=acting(shop.cast.author), if_match=release.content_digest
        )
    with pytest.raises(Conflict):
        operations.withdraw_release(release.number, actor=acting(shop.cast.author))


# Checks


@long
def test_a_check_asks_for_its_role(shop: Shop) -> None:
    make_checklist({"phase": "before", "text": "시험 통과", "role": "qa"})
    release = make_release(shop, at="in_review")
    check = release.checks.get()
    for user in (shop.cast.author, shop.cast.pl, shop.cast.auditor, shop.cast.administrator):
        with pytest.raises(NotAllowed):
            operations.answer_check(release.number, check.pk, actor=acting(user), result="done")
    operations.answer_check(release.number, check.pk, actor=acting(shop.cast.qa), result="done")
    check.refresh_from_db()
    assert (check.result, check.answered_by) == ("done", shop.cast.qa)
    assert [entry["code"] for entry in missing_for_start(release)] == ["requirement"]


@long
def test_a_failed_check_says_why_and_still_holds_the_start(shop: Shop) -> None:
    make_checklist({"phase": "before", "text": "시험 통과", "role": "qa"})
    release = make_release(shop, at="approved")
    check = release.checks.get()
    qa = acting(shop.cast.qa)
    for result in ("failed", "not_applicable"):
        with pytest.raises(Invalid):
            operations.answer_check(release.number, check.pk, actor=qa, result=result)
    proof = {"text": "결제 실패", "link": "https://tests.example/1"}
    operations.answer_check(release.number, check.pk, actor=qa, result="failed", evidence=proof)
    assert Check.objects.get().evidence == proof
    assert refused_start(release, shop).code == "checklist_open"
    with pytest.raises(Invalid):
        operations.answer_check(release.number, check.pk, actor=qa, result="maybe")
    with pytest.raises(Invalid):
        operations.answer_check(
            release.number, check.pk, actor=qa, result="done", evidence={"link": "javascript:alert(1)"}
        )


@long
def test_a_check_is_answered_in_its_phase_and_under_its_release(shop: Shop) -> None:
    make_checklist({"phase": "before", "text": "시험 통과"}, {"phase": "after", "text": "지표"})
    release = make_release(shop, at="approved")
    before, after = queries.checks_of(release)
    author = acting(shop.cast.author)
    with pytest.raises(Conflict):
        operations.answer_check(release.number, after.pk, actor=author, result="done")
    other = make_release(shop)
    with pytest.raises(NotFound):
        operations.answer_check(other.number, before.pk, actor=author, result="done")
    operations.answer_check(release.number, before.pk, actor=author, result="done")
    roll_out(Release.objects.get(pk=release.pk), shop)
    with pytest.raises(Conflict):
        operations.answer_check(release.number, before.pk, actor=author, result="failed", evidence="late")


# Sign-off, announcement, close


@long
def test_the_result_is_signed_off_by_a_lead_who_did_not_start_it(shop: Shop) -> None:
    release = verified(shop)
    assert release.state == "awaiting_signoff"
    for user, code in ((shop.cast.author, "self_approval"), (shop.cast.outsider, "not_entitled")):
        with pytest.raises(NotAllowed) as error:
            operations.sign_off_result(release.number, actor=acting(user), verdict="approve")
        assert error.value.code == code
    operations.sign_off_result(release.number, actor=acting(shop.cast.team_lead), verdict="approve")
    with pytest.raises(Conflict) as conflict:
        operations.sign_off_result(release.number, actor=acting(shop.cast.team_lead), verdict="approve")
    assert conflict.value.code == "already_decided"


@long
def test_who_started_the_rollout_does_not_sign_it_off(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    roll_out(release, shop)
    Rollout.objects.update(started_by=shop.cast.team_lead)
    verify(release)
    with pytest.raises(NotAllowed) as error:
        operations.sign_off_result(release.number, actor=acting(shop.cast.team_lead), verdict="approve")
    assert error.value.code == "self_approval"
    operations.sign_off_result(release.number, actor=acting(shop.cast.pl), verdict="approve")


@long
def test_a_role_lost_after_the_rollout_does_not_end_the_signing_off(shop: Shop) -> None:
    items = [{"service": name, "version": "3"} for name in ("payment-service", "auth-service")]
    other = person("other-identity-lead", ("team_lead", "team:identity"))
    release = make_release(shop, at="in_review", items=items)
    decide(release, shop.cast.team_lead)
    decide(release, shop.identity_lead)
    roll_out(release, shop)
    verify(release)
    revoke_role(shop.identity_lead.username, role="team_lead", scope="team:identity", actor=BY_THE_PORTAL)
    for user in (shop.cast.team_lead, other):
        operations.sign_off_result(release.number, actor=acting(user), verdict="approve")
    assert operations.announce_release(release.number, actor=acting(shop.cast.author)).state == "announced"


@long
def test_a_rejected_result_fails_the_release(shop: Shop) -> None:
    release = verified(shop)
    lead = acting(shop.cast.team_lead)
    with pytest.raises(Invalid):
        operations.sign_off_result(release.number, actor=lead, verdict="reject")
    operations.sign_off_result(release.number, actor=lead, verdict="reject", reason="오류율 증가")
    release.refresh_from_db()
    assert release.state == "failed"


@long
def test_it_is_announced_after_the_sign_off_and_closed_after_its_checks(shop: Shop) -> None:
    make_checklist({"phase": "during", "text": "지표"}, {"phase": "after", "text": "공지 확인"})
    release = verified(shop)
    author = acting(shop.cast.author)
    with pytest.raises(Conflict) as error:
        operations.announce_release(release.number, actor=author)
    assert {entry["code"] for entry in error.value.missing} == {"requirement", "checklist"}
    operations.sign_off_result(release.number, actor=acting(shop.cast.pl), verdict="approve")
    during, after = queries.checks_of(release)
    operations.answer_check(release.number, during.pk, actor=author, result="done")
    assert operations.announce_release(release.number, actor=author).state == "announced"
    assert Message.objects.filter(key__contains=".announced:lead", body__contains="배포합니다").exists()
    with pytest.raises(Conflict) as error:
        operations.close_release(release.number, actor=author)
    assert error.value.code == "checklist_open"
    operations.answer_check(release.number, after.pk, actor=author, result="done")
    closed = operations.close_release(release.number, actor=author)
    assert (closed.state, closed.ended_at is not None) == ("closed", True)


@long
def test_open_checks_hold_the_announcement_where_nobody_signs_off(shop: Shop) -> None:
    publish_policy(policy_table(B={"signoff": []}), actor=BY_THE_PORTAL)
    make_checklist({"phase": "during", "text": "지표"})
    release = verified(shop)
    assert release.state == "awaiting_signoff"
    author = acting(shop.cast.author)
    with pytest.raises(Conflict) as error:
        operations.announce_release(release.number, actor=author)
    assert error.value.code == "checklist_open"
    operations.answer_check(release.number, release.checks.get().pk, actor=author, result="done")
    assert operations.announce_release(release.number, actor=author).state == "announced"


@long
def test_a_failed_release_is_closed_after_its_checks(shop: Shop) -> None:
    make_checklist({"phase": "after", "text": "지표"})
    release = make_release(shop, at="approved")
    roll_out(release, shop)
    operations.follow(release, "failed", actor=ENGINE)
    author = acting(shop.cast.author)
    with pytest.raises(Conflict) as error:
        operations.close_release(release.number, actor=author)
    assert error.value.code == "checklist_open"
    check = release.checks.get()
    operations.answer_check(
        release.number, check.pk, actor=author, result="not_applicable", evidence="되돌린 뒤 다시 배포"
    )
    assert operations.close_release(release.number, actor=author).state == "closed"


@long
def test_announcing_and_closing_need_the_deploy_right(shop: Shop) -> None:
    release = verified(shop)
    operations.sign_off_result(release.number, actor=acting(shop.cast.pl), verdict="approve")
    for user in (shop.cast.outsider, shop.cast.auditor, shop.cast.qa):
        with pytest.raises(NotAllowed):
            operations.announce_release(release.number, actor=acting(user))
    operations.announce_release(release.number, actor=acting(shop.cast.author))
    with pytest.raises(NotAllowed):
        operations.close_release(release.number, actor=acting(shop.cast.outsider))


# The engine


@long
def test_following_is_idempotent_and_refuses_what_the_life_does_not_allow(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    roll_out(release, shop)
    assert operations.follow(release, "rolling_out", actor=ENGINE).state == "rolling_out"
    with translation.override("ko"), pytest.raises(Conflict, match="상태: 배포 중"):
        operations.follow(release, "closed", actor=ENGINE)


@long
def test_a_lost_role_is_noticed_before_the_next_wave(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    roll_out(release, shop)
    assert still_approved(release) == []
    revoke_role("pl", role="pl", scope="service:shopping-service", actor=BY_THE_PORTAL)
    assert [entry["code"] for entry in still_approved(release)] == ["requirement"]


def test_the_announcement_has_the_shape_people_know() -> None:
    text = write(
        Announcement(
            system="kop",
            versions=[("hybris", "deploy-2026-01-08"), ("web", "a7ed4db1")],
            grade="B",
            has_database_change=False,
            changes=[("버티컬", "성명 변경 원복"), ("CMS", "템플릿 업데이트")],
        )
    )
    assert text.splitlines() == [
        "[kop] 배포합니다.",
        "- 배포버전: hybris(deploy-2026-01-08), web(a7ed4db1)",
        "- 배포등급: B(낮음)",
        "- DB 업데이트 여부: N",
        "- 배포내역",
        "\t- [버티컬] 성명 변경 원복",
        "\t- [CMS] 템플릿 업데이트",
    ]
