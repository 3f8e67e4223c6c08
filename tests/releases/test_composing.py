"""Composing: what is accepted, what is told about wrong input, and the grade that follows."""

import json
from typing import Any

import pytest

from approvals.digests import digest_of
from approvals.operations import publish_policy
from portal.audit.models import AuditEntry
from portal.errors import Conflict, Invalid, NotAllowed, NotFound, TemporaryError
from releases import operations, queries
from releases.content import content_of
from releases.models import Release
from tests.factories import FakeRegistry, Shop, digest_for, make_release, policy_table, runs
from tests.people import BY_THE_PORTAL, acting
from tests.soak import long


def faults(shop: Shop, **changes: Any) -> set[str]:
    """The fields that are told to be wrong; nothing is written."""
    with pytest.raises(Invalid) as error:
        operations.create_release(shop.data(**changes), actor=acting(shop.cast.author))
    assert not Release.objects.exists()
    return {fault["field"] for fault in error.value.missing}


def test_a_version_is_resolved_to_an_image_at_once(shop: Shop) -> None:
    release = make_release(shop)
    item = release.items.get()
    assert item.digest == digest_for("shopping-service", "2.8.0")
    assert item.image == f"registry.practice/shop/shopping-service@{item.digest}"
    assert release.content["items"][0]["image"] == item.image
    assert release.content_digest.startswith("sha256:")


def test_the_author_is_the_first_contributor_and_the_act_is_recorded(shop: Shop) -> None:
    release = make_release(shop)
    assert [user.username for user in release.contributors.all()] == ["author"]
    entry = AuditEntry.objects.get(action="release.created")
    assert (entry.actor, entry.release) == ("author", release.number)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"environment": "nowhere"}, "environment"),
    ({"environment": None}, "environment"),
    ({"environment": 7}, "environment"),
    ({"environment": "a\x00b"}, "environment"),
    ({"items": []}, "items"),
    ({"items": "all"}, "items"),
    ({"items": ["shopping-service"]}, "items.0"),
    ({"items": [{"service": "nothing", "version": "1"}]}, "items.0.service"),
    ({"items": [{"service": "shopping-service"}]}, "items.0.version"),
    ({"items": [{"service": "shopping-service", "version": "1\n2"}]}, "items.0.version"),
    ({"items": [{"service": "shopping-service", "version": "1", "digest": "x"}]}, "items.0.digest"),
    ({"items": [{"service": "shopping-service", "version": "1"}] * 2}, "items.1.service"),
    ({"changes": [{"area": "", "text": "x"}]}, "changes.0.area"),
    ({"changes": [{"area": "API", "text": "x" * 501}]}, "changes.0.text"),
    ({"changes": [{"area": "API", "text": "x", "link": "javascript:alert(1)"}]}, "changes.0.link"),
    ({"changes": [{"area": "API", "text": "x", "link": "ftp://host/x"}]}, "changes.0.link"),
    ({"facts": {"database_change": "yes"}}, "facts.database_change"),
    ({"facts": {"harmless": True}}, "facts.harmless"),
    ({"facts": []}, "facts"),
    ({"database_changes": [{"service": "auth-service", "text": "x"}]}, "database_changes.0.service"),
    ({"grade": "F"}, "grade"),
    ({"grade": "AB"}, "grade"),
    ({"grade": True}, "grade"),
    ({"target_at": "2026-11-21T14:00:00"}, "target_at"),
    ({"target_at": "soon"}, "target_at"),
    ({"plan": "other"}, "plan"),
    ({"incident": {"link": "nowhere"}}, "incident.link"),
    ({"title": "x" * 201}, "title"),
    ({"title": "a\x07b"}, "title"),
    ({"state": "approved"}, "state"),
    ({"author": "pl"}, "author"),
    ({"content_digest": "sha256:0"}, "content_digest"),
    ({"policy_version": 1}, "policy_version"),
    ({"number": 1}, "number"),
]


@long
def test_wrong_and_unknown_fields_are_refused_by_name(shop: Shop) -> None:
    for changes, field in WRONG:
        assert faults(shop, **changes) == {field}, changes


def test_every_wrong_field_is_told_at_once(shop: Shop) -> None:
    changes = {"grade": "F", "title": "a\x07b", "items": [{"service": "nothing", "version": "1"}], "more": 1}
    assert faults(shop, **changes) == {"grade", "title", "items.0.service", "more"}


def test_a_version_that_does_not_exist_is_a_wrong_field(shop: Shop, registry: FakeRegistry) -> None:
    registry.gone.add(("shopping-service", "2.8.0"))
    assert faults(shop) == {"items.0.version"}


def test_a_registry_that_does_not_answer_is_said_and_nothing_is_written(
    shop: Shop, registry: FakeRegistry
) -> None:
    registry.is_reachable = False
    with pytest.raises(TemporaryError):
        operations.create_release(shop.data(), actor=acting(shop.cast.author))
    assert not Release.objects.exists()


def test_composing_needs_the_right_on_every_service(shop: Shop) -> None:
    items = [{"service": name, "version": "1"} for name in ("shopping-service", "payment-service")]
    for user in (shop.cast.pl, shop.cast.outsider, shop.cast.auditor, shop.cast.qa):
        with pytest.raises(NotAllowed):
            operations.create_release(shop.data(items=items), actor=acting(user))
    assert make_release(shop, author=shop.cast.team_lead, items=items).author == shop.cast.team_lead


def test_a_service_of_another_environment_is_refused(shop: Shop) -> None:
    shop.shopping.environments.clear()
    assert faults(shop) == {"items.0.service"}


# The grade


def test_a_new_version_follows_the_table(shop: Shop) -> None:
    release = make_release(shop, items=[{"service": "payment-service", "version": "3"}])
    assert (release.grade, release.proposal["grade"]) == ("D", "D")
    assert [reason.fact for reason in queries.reasons_of(release)] == ["core_service"]


def test_what_runs_already_makes_a_flag_release_an_a(shop: Shop) -> None:
    runs(shop.shopping, shop.environment, "2.8.0")
    assert make_release(shop, facts={"feature_flag": True}).grade == "A"
    runs(shop.shopping, shop.environment, "2.7.9")
    assert make_release(shop, facts={"feature_flag": True}).grade == "B"


def test_the_lists_of_safe_keys_decide_about_configuration(shop: Shop) -> None:
    runs(shop.shopping, shop.environment, "2.8.0")

    def grade(key: str) -> str:
        item = {"service": "shopping-service", "version": "2.8.0", "configuration": [{"key": key}]}
        return make_release(shop, items=[item], facts={"configuration_only": True}).grade

    assert (grade("banner"), grade("timeout")) == ("A", "B")


def test_a_database_change_of_one_service_is_its_reason_alone(shop: Shop) -> None:
    items = [{"service": name, "version": "3"} for name in ("shopping-service", "payment-service")]
    changes = [{"service": "shopping-service", "text": "one column more"}]
    release = make_release(shop, items=items, database_changes=changes)
    found = {(reason.fact, reason.service) for reason in queries.reasons_of(release)}
    assert ("database_change", "shopping-service") in found
    assert ("database_change", "payment-service") not in found


def test_a_grade_is_raised_freely_and_follows_the_proposal_until_then(shop: Shop) -> None:
    actor = acting(shop.cast.author)
    release = make_release(shop)
    edited = operations.edit_release(
        release.number, {"facts": {"new_api": True}}, actor=actor, if_match=release.content_digest
    )
    assert edited.grade == "C"
    raised = operations.edit_release(
        release.number, {"grade": "D"}, actor=actor, if_match=edited.content_digest
    )
    again = operations.edit_release(
        release.number, {"facts": {}}, actor=actor, if_match=raised.content_digest
    )
    assert (again.grade, again.proposal["grade"]) == ("D", "B")


# Editing


def edit(release: Release, shop: Shop, **changes: Any) -> Release:
    """Edit as the author, from what the release is now."""
    release.refresh_from_db()
    actor = acting(shop.cast.author)
    return operations.edit_release(release.number, changes, actor=actor, if_match=release.content_digest)


SEALED: list[dict[str, Any]] = [
    {"items": [{"service": "shopping-service", "version": "2.8.1"}]},
    {"items": [{"service": "payment-service", "version": "2.8.0"}]},
    {"changes": []},
    {"facts": {"new_api": True}},
    {"database_changes": [{"text": "one column more"}]},
    {"grade": "D"},
]


@long
@pytest.mark.parametrize("changes", SEALED)
@pytest.mark.parametrize("at", ["in_review", "approved"])
def test_sealed_content_that_changes_returns_to_draft_and_voids(
    shop: Shop, changes: dict[str, Any], at: str
) -> None:
    release = make_release(shop, at=at)
    request = release.approval_request
    edited = edit(release, shop, **changes)
    assert edited.state == "draft"
    assert edited.content_digest != release.content_digest
    assert request is not None
    request.refresh_from_db()
    assert request.state == "void"


@long
@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Another"},
        {"announcement": "곧 배포합니다."},
        {"target_at": "2027-01-04T10:00:00+09:00"},
        {},
    ],
)
def test_wording_changes_under_an_approval(shop: Shop, changes: dict[str, Any]) -> None:
    release = make_release(shop, at="approved")
    edited = edit(release, shop, **changes)
    assert (edited.state, edited.content_digest) == ("approved", release.content_digest)


@long
def test_a_new_policy_or_another_running_version_does_not_void_on_a_change_of_wording(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    publish_policy(policy_table(B={"deadline_hours": 1}), actor=BY_THE_PORTAL)
    runs(shop.shopping, shop.environment, "2.7.4")
    edited = edit(release, shop, title="Another")
    assert (edited.state, edited.title) == ("approved", "Another")
    assert edited.policy_version == shop.policy.version


@long
def test_what_a_submission_required_is_not_emptied_afterwards(shop: Shop) -> None:
    incident = {"link": "https://incidents.example/7", "reason": "payments fail"}
    emergency = make_release(shop, grade="E", incident=incident)
    emergency = operations.submit_release(emergency.number, actor=acting(shop.cast.author))
    with pytest.raises(Invalid):
        edit(emergency, shop, incident=None)
    lowered = make_release(shop, at="in_review", facts={"new_api": True}, grade="B", grade_reason="small")
    with pytest.raises(Invalid):
        edit(lowered, shop, grade_reason="")
    edit(emergency, shop, incident={**incident, "reason": "payments and orders fail"})
    entry = AuditEntry.objects.filter(action="release.edited", release=emergency.number).order_by("-id")[0]
    assert json.loads(entry.body)["before"]["incident"] == incident


def test_an_edit_from_an_old_content_is_stale(shop: Shop) -> None:
    release = make_release(shop)
    old = release.content_digest
    edit(release, shop, changes=[])
    with pytest.raises(Conflict) as error:
        operations.edit_release(release.number, {"title": "x"}, actor=acting(shop.cast.author), if_match=old)
    assert error.value.code == "stale_digest"


def test_an_edit_must_say_what_it_saw(shop: Shop) -> None:
    release = make_release(shop)
    with pytest.raises(Invalid):
        operations.edit_release(release.number, {}, actor=acting(shop.cast.author), if_match=None)


def test_an_edit_needs_the_right_on_the_services_there_are_and_will_be(shop: Shop) -> None:
    release = make_release(shop, items=[{"service": "payment-service", "version": "1"}])
    to_own = {"items": [{"service": "shopping-service", "version": "1"}]}
    for changes in (to_own, {"title": "x"}):
        with pytest.raises(NotAllowed):
            operations.edit_release(
                release.number, changes, actor=acting(shop.cast.pl), if_match=release.content_digest
            )


def test_an_ended_release_is_not_edited(shop: Shop) -> None:
    release = make_release(shop)
    operations.withdraw_release(release.number, actor=acting(shop.cast.author))
    with pytest.raises(Conflict):
        edit(release, shop, title="x")


# Withdrawing and duplicating


@long
def test_the_author_or_somebody_with_the_right_withdraws(shop: Shop) -> None:
    for user in (shop.cast.author, shop.cast.team_lead):
        release = make_release(shop, at="in_review")
        assert operations.withdraw_release(release.number, actor=acting(user)).state == "withdrawn"
    release = make_release(shop, at="in_review")
    for user in (shop.cast.outsider, shop.cast.auditor, shop.cast.qa, shop.cast.administrator):
        with pytest.raises(NotAllowed):
            operations.withdraw_release(release.number, actor=acting(user))


@long
def test_a_duplicate_is_a_new_draft_with_the_same_content(shop: Shop) -> None:
    release = make_release(shop, at="approved", facts={"new_api": True}, grade="D")
    copy = operations.duplicate_release(release.number, actor=acting(shop.cast.team_lead))
    assert (copy.state, copy.author, copy.duplicate_of) == ("draft", shop.cast.team_lead, release)
    assert copy.content == release.content
    assert copy.number != release.number


@long
def test_whose_content_was_copied_cannot_approve_the_copy(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    copy = operations.duplicate_release(release.number, actor=acting(shop.cast.team_lead))
    copy = operations.submit_release(copy.number, actor=acting(shop.cast.team_lead))
    assert copy.approval_request is not None
    assert shop.cast.author in copy.approval_request.barred.all()


def test_the_content_holds_target_and_steps_of_the_plan(shop: Shop) -> None:
    release = make_release(shop)
    before = digest_of(content_of(release))
    assert before == release.content_digest
    shop.plan.spec = {"waves": [{"services": ["shopping-service"]}]}
    shop.plan.save(update_fields=["spec"])
    release = Release.objects.get(pk=release.pk)
    assert digest_of(content_of(release)) != before
    shop.plan.spec = {"waves": []}
    shop.plan.save(update_fields=["spec"])
    shop.environment.namespace = "elsewhere"
    shop.environment.save(update_fields=["namespace"])
    assert digest_of(content_of(Release.objects.get(pk=release.pk))) != before


def test_the_content_holds_the_objects_that_a_service_consists_of(shop: Shop) -> None:
    release = make_release(shop)
    shop.shopping.spec = {
        **shop.shopping.spec,
        "workloads": [{"kind": "Deployment", "name": "payment-service", "containers": ["app"]}],
    }
    shop.shopping.save(update_fields=["spec"])
    assert digest_of(content_of(Release.objects.get(pk=release.pk))) != release.content_digest


def test_nobody_reads_what_they_may_not_see(shop: Shop) -> None:
    release = make_release(shop)
    with pytest.raises(NotFound):
        queries.detail(shop.cast.author, release.number + 1)
