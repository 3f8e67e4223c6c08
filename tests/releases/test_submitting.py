"""Submitting: what is sealed, copied, refused and replaced, and who is told."""

import pytest

from approvals.models import Requirement
from approvals.operations import publish_policy
from portal.audit.models import AuditEntry
from portal.errors import Conflict, Invalid, NotAllowed, TemporaryError
from portal.live.models import Event
from portal.outbox.models import Message
from portal.people.operations import grant_role, revoke_role
from releases import operations, queries
from releases.models import Release
from releases.reading.deciding import content_with
from tests.factories import (
    FakeRegistry,
    Shop,
    decide,
    digest_for,
    make_checklist,
    make_release,
    policy_table,
    runs,
)
from tests.people import BY_THE_PORTAL, acting
from tests.soak import long

BOTH = [{"service": name, "version": "3"} for name in ("shopping-service", "payment-service")]


def submit(shop: Shop, release: Release) -> Release:
    """Submit as the author."""
    return operations.submit_release(release.number, actor=acting(shop.cast.author))


def rows(release: Release, phase: str = "review") -> list[tuple[str, str]]:
    """Role and scope of the copied rows."""
    found = Requirement.objects.filter(request=release.approval_request_id, phase=phase)
    return list(found.values_list("role", "scope"))


def test_what_is_sealed_stands_in_the_record_even_where_a_tag_had_moved(
    shop: Shop, registry: FakeRegistry
) -> None:
    release = make_release(shop)
    registry.move("shopping-service", "2.8.0")
    release = submit(shop, release)
    assert content_with(release.number, release.content_digest) == release.content


def test_the_rows_are_copied_and_outlive_a_change_of_the_policy(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    weaker = policy_table(B={"review": [{"role": "release_manager", "scope": "team"}]})
    publish_policy(weaker, actor=BY_THE_PORTAL)
    assert rows(release) == [("pl", "service:shopping-service")]
    release = Release.objects.get(pk=release.pk)
    assert release.policy_version == shop.policy.version
    decide(release, shop.cast.pl)
    release.refresh_from_db()
    assert release.state == "approved"


def test_a_moved_tag_is_told_and_what_is_sealed_is_what_it_means_then(
    shop: Shop, registry: FakeRegistry
) -> None:
    release = make_release(shop)
    rebuilt = registry.move("shopping-service", "2.8.0")
    submitted = submit(shop, release)
    assert submitted.items.get().digest == rebuilt
    assert submitted.content_digest != release.content_digest
    event = Event.objects.get(topic=release.topic, kind="release.tag_moved")
    assert event.data == {
        "service": "shopping-service",
        "version": "2.8.0",
        "before": digest_for("shopping-service", "2.8.0"),
        "after": rebuilt,
    }


def test_a_version_that_is_gone_stops_the_submission(shop: Shop, registry: FakeRegistry) -> None:
    release = make_release(shop)
    registry.gone.add(("shopping-service", "2.8.0"))
    with pytest.raises(Invalid):
        submit(shop, release)
    registry.gone.clear()
    registry.is_reachable = False
    with pytest.raises(TemporaryError):
        submit(shop, release)
    release.refresh_from_db()
    assert release.state == "draft"


def test_facts_are_judged_anew_so_that_a_new_version_cannot_hide_behind_an_old_claim(shop: Shop) -> None:
    runs(shop.payment, shop.environment, "3")
    items = [{"service": "payment-service", "version": "3"}]
    release = make_release(shop, items=items, facts={"feature_flag": True})
    assert release.grade == "A"
    runs(shop.payment, shop.environment, "2")
    submitted = submit(shop, release)
    assert (submitted.grade, rows(submitted)) == ("D", [("team_lead", "team:commerce")])


def test_lowering_needs_a_reason_and_keeps_the_proposed_grades_approver(shop: Shop) -> None:
    release = make_release(shop, grade="B", facts={"new_api": True})
    assert queries.open_points(release) == ["grade_reason"]
    with pytest.raises(Invalid) as error:
        submit(shop, release)
    assert [fault["field"] for fault in error.value.missing] == ["grade_reason"]
    actor = acting(shop.cast.author)
    operations.edit_release(
        release.number, {"grade_reason": "internal only"}, actor=actor, if_match=release.content_digest
    )
    submitted = submit(shop, release)
    assert (submitted.grade, rows(submitted)) == ("B", [("team_lead", "team:commerce")])
    assert rows(submitted, "signoff") == [("pl", "service:shopping-service")]


def test_a_chain_that_nobody_can_fulfil_is_refused_with_the_missing_role(shop: Shop) -> None:
    revoke_role("director", role="director", scope="*", actor=BY_THE_PORTAL)
    release = make_release(shop, author=shop.cast.team_lead, facts={"new_api": True})
    with pytest.raises(Conflict) as error:
        operations.submit_release(release.number, actor=acting(shop.cast.team_lead))
    assert error.value.code == "unfulfillable"
    assert [entry["role"] for entry in error.value.missing if entry["scope"] == "commerce"] == [
        "director"
    ] * 2
    release.refresh_from_db()
    assert (release.state, release.approval_request) == ("draft", None)


def test_an_author_who_is_team_lead_climbs_to_the_director(shop: Shop) -> None:
    release = make_release(shop, author=shop.cast.team_lead, facts={"new_api": True}, at="in_review")
    row = queries.requirements_of(release)[0]
    assert (row.role, row.candidates) == ("director", (shop.cast.director,))
    assert len(row.climbed) == 1


def test_the_checklist_is_copied_from_the_templates_that_concern_the_release(shop: Shop) -> None:
    make_checklist({"phase": "before", "text": "시험 통과", "role": "qa"}, {"phase": "after", "text": "지표"})
    other = make_checklist({"phase": "before", "text": "다른 곳"}, name="elsewhere")
    other.spec["environments"] = ["elsewhere"]
    other.save(update_fields=["spec"])
    release = make_release(shop, at="in_review")
    assert [check.text for check in queries.checks_of(release)] == ["시험 통과", "지표"]
    assert release.checklist == {"templates": [{"name": "shop-checks", "version": 1}]}


@long
def test_an_emergency_needs_its_incident_and_its_reason_and_no_approval_before(shop: Shop) -> None:
    release = make_release(shop, grade="E")
    with pytest.raises(Invalid) as error:
        submit(shop, release)
    assert {fault["field"] for fault in error.value.missing} == {"incident", "grade_reason"}
    incident = {"link": "https://incidents.example/7", "reason": "payments fail"}
    actor = acting(shop.cast.author)
    operations.edit_release(
        release.number, {"incident": incident}, actor=actor, if_match=release.content_digest
    )
    submitted = submit(shop, release)
    assert (submitted.state, rows(submitted)) == ("submitted", [])
    assert rows(submitted, "owed") == [("team_lead", "team:commerce")]


def test_an_emergency_nobody_can_review_goes_on_and_administrators_are_told(shop: Shop) -> None:
    revoke_role("director", role="director", scope="*", actor=BY_THE_PORTAL)
    incident = {"link": "https://incidents.example/7", "reason": "payments fail"}
    release = make_release(shop, author=shop.cast.team_lead, grade="E", incident=incident)
    operations.submit_release(release.number, actor=acting(shop.cast.team_lead))
    assert not Requirement.objects.get(phase="owed").fulfillable
    assert Message.objects.filter(recipient="administrator", key__contains=".nobody:").exists()


# Superseding


@long
@pytest.mark.parametrize("at", ["in_review", "approved"])
def test_a_newer_release_of_the_same_services_replaces_the_older(shop: Shop, at: str) -> None:
    old = make_release(shop, at=at)
    new = make_release(shop, at="in_review", items=BOTH)
    old.refresh_from_db()
    assert (old.state, old.superseded_by) == ("superseded", new)
    assert old.ended_at is not None
    assert Message.objects.filter(key__contains=f"release.{old.number}.round.1.superseded:author").exists()


@long
def test_a_partial_overlap_warns_both_and_ends_neither(shop: Shop) -> None:
    old = make_release(shop, at="in_review", items=BOTH)
    new = make_release(shop, at="in_review")
    old.refresh_from_db()
    assert (old.state, new.state) == ("in_review", "in_review")
    for topic, other in ((old.topic, new), (new.topic, old)):
        event = Event.objects.get(topic=topic, kind="release.overlap")
        assert event.data == {"release": other.number, "services": ["shopping-service"]}
    assert list(queries.overlapping(new)) == [old]


@long
def test_drafts_other_services_and_newer_releases_are_never_replaced(shop: Shop) -> None:
    first = make_release(shop)
    draft = make_release(shop)
    other = make_release(shop, at="in_review", items=[{"service": "auth-service", "version": "3"}])
    newer = make_release(shop, at="in_review")
    submit(shop, first)
    for release, state in ((draft, "draft"), (other, "in_review"), (newer, "in_review")):
        release.refresh_from_db()
        assert release.state == state


# State, rights and notices


@long
def test_only_drafts_and_what_was_sent_back_are_submitted(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    with pytest.raises(Conflict) as error:
        submit(shop, release)
    assert error.value.code == "wrong_state"
    assert AuditEntry.objects.get(action="release.refused").release == release.number
    decide(release, shop.cast.pl, "send_back", "more tests")
    again = submit(shop, release)
    assert again.state == "in_review"
    assert again.approval_request is not None
    assert again.approval_request.round == 2


def test_submitting_needs_the_right_on_the_services(shop: Shop) -> None:
    release = make_release(shop)
    for user in (shop.cast.outsider, shop.cast.auditor, shop.cast.qa):
        with pytest.raises(NotAllowed):
            operations.submit_release(release.number, actor=acting(user))


def test_those_who_can_decide_are_asked_and_those_the_policy_names_are_told(
    shop: Shop,
) -> None:
    grant_role("outsider", role="release_manager", scope="team:commerce", actor=BY_THE_PORTAL)
    release = make_release(shop, at="in_review")
    sent = set(Message.objects.values_list("key", flat=True))
    prefix = f"release.{release.number}.round.1"
    assert f"{prefix}.review:pl" in sent
    assert {f"{prefix}.shared:lead", f"{prefix}.shared:outsider"} <= sent
    assert not any(key.endswith(":identity-lead") for key in sent)


@long
def test_approval_is_told_to_the_author_with_its_announcement(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    message = Message.objects.get(key__startswith=f"release.{release.number}.round.1.settled.approved")
    assert message.recipient == "author"
    assert "[shop] 배포합니다." in message.body
