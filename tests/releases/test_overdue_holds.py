"""An emergency whose review is overdue holds, where the policy says so, the next start of its services."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from approvals import policy_table
from approvals.models import Request
from approvals.operations import publish_policy
from portal import clock
from portal.audit.models import AuditEntry
from portal.audit.queries import body_of
from portal.errors import Conflict, Invalid
from releases import operations
from releases.catalog.models import Plan
from releases.models import Release
from releases.rollouts import jobs
from releases.rollouts import operations as rollouts
from releases.rollouts.models import Rollout
from releases.rollouts.overview import overview
from releases.start import missing_for_start
from tests.factories import Shop, decide, make_release, roll_out, verify
from tests.factories import policy_table as example
from tests.people import BY_THE_PORTAL, acting, person
from tests.portal.api import ApiClient
from tests.soak import long

HOUR = timedelta(hours=1)
INCIDENT = {"link": "https://incidents.example/7", "reason": "payments fail"}
PAYMENT = [{"service": "payment-service", "version": "1.0.0"}]
WAVES = {"expectedMinutes": 30, "waves": [{"title": "All", "services": ["shopping-service"]}]}


@pytest.fixture
def holding(shop: Shop) -> Shop:
    """The shop under a policy whose grade E holds others, with a plan that fits."""
    publish_policy(example(E={"overdueHolds": True}), actor=BY_THE_PORTAL)
    Plan.objects.filter(pk=shop.plan.pk).update(spec=WAVES)
    return shop


def overdue(shop: Shop, *, by: timedelta = HOUR) -> Release:
    """An emergency that went out, and whose review should have been given."""
    release = make_release(shop, grade="E", incident=INCIDENT, at="draft")
    operations.submit_release(release.number, actor=acting(shop.cast.author))
    roll_out(release, shop)
    verify(Release.objects.get(pk=release.pk))
    Request.objects.filter(subject=release.subject).update(deadline_at=clock.now() - by)
    return Release.objects.get(pk=release.pk)


def start(release: Release, shop: Shop) -> Rollout:
    """Start it as its author."""
    return rollouts.start_rollout(release.number, actor=acting(shop.cast.author))


def codes(release: Release) -> list[str]:
    """What kinds of things a start would be refused for."""
    return [entry["code"] for entry in missing_for_start(release)]


@long
def test_every_door_says_what_holds_it_until_the_review_is_given(holding: Shop) -> None:
    emergency = overdue(holding)
    release = make_release(holding, at="approved")
    api = ApiClient(holding.cast.author)
    answer = api.post(f"/releases/{release.number}/start", Accept_Language="en")
    assert (answer.status_code, answer.json()["code"]) == (409, "owed")
    (missing,) = answer.json()["missing"]
    deadline = Request.objects.get(subject=emergency.subject).deadline_at
    assert deadline is not None
    assert (missing["id"], missing["role"], missing["scope"]) == (emergency.number, "team_lead", "commerce")
    assert missing["since"] == deadline.isoformat()
    assert f"#{emergency.number} (shopping-service) is overdue since" in missing["text"]
    browser = Client(headers={"Accept-Language": "en"})
    browser.force_login(holding.cast.author)
    for page in ("", "start/", "schedule/"):
        shown = browser.get(f"/releases/{release.number}/{page}").content.decode()
        assert missing["text"] in shown
        assert f'href="/releases/{emergency.number}/review/">To the review' in shown
    decide(emergency, holding.cast.team_lead)
    assert codes(release) == []
    assert api.post(f"/releases/{release.number}/start").status_code == 201


@long
def test_nothing_is_scheduled_past_it_and_what_was_is_given_back(holding: Shop) -> None:
    emergency = overdue(holding, by=-HOUR)
    release = make_release(holding, at="approved")
    author = acting(holding.cast.author)
    operations.schedule_release(release.number, actor=author, at=clock.now() + HOUR)
    Request.objects.filter(subject=emergency.subject).update(deadline_at=clock.now() - HOUR)
    with pytest.raises(Conflict) as error:
        operations.schedule_release(release.number, actor=author, at=clock.now() + 2 * HOUR)
    assert error.value.code == "owed"
    Release.objects.filter(pk=release.pk).update(scheduled_at=clock.now())
    jobs.start_due()
    release.refresh_from_db()
    assert (release.state, Rollout.objects.filter(release=release).count()) == ("approved", 0)
    entry = AuditEntry.objects.filter(action="release.approved", release=release.number).order_by("id").last()
    assert entry is not None
    assert f"#{emergency.number}" in body_of(entry)["reason"]


@long
def test_only_an_overdue_review_of_the_same_service_under_a_policy_that_says_so_holds(shop: Shop) -> None:
    plain, told = example(), example(E={"overdueHolds": True})
    emergency_again: dict[str, Any] = {"grade": "E", "incident": INCIDENT}
    database = [{"service": "shopping-service", "text": "ALTER TABLE"}]
    table: list[tuple[dict[str, Any], timedelta, dict[str, Any], list[str]]] = [
        (plain, HOUR, {}, []),
        (told, -HOUR, {}, []),
        (told, HOUR, {}, ["owed"]),
        (told, HOUR, {"grade": "A", "grade_reason": "small"}, ["owed"]),
        (told, HOUR, {"grade": "C"}, ["owed"]),
        (told, HOUR, {"database_changes": database, "grade": "D"}, ["owed"]),
        (told, HOUR, {"items": PAYMENT}, []),
        (told, HOUR, emergency_again, []),
    ]
    found = []
    for policy, by, changes, _expected in table:
        with transaction.atomic():
            publish_policy(policy, actor=BY_THE_PORTAL)
            overdue(shop, by=by)
            is_emergency = changes.get("grade") == "E"
            release = make_release(shop, at="draft" if is_emergency else "approved", **changes)
            if is_emergency:
                release = operations.submit_release(release.number, actor=acting(shop.cast.author))
            found.append(codes(release))
            transaction.set_rollback(True)
    assert found == [expected for *_given, expected in table]


@long
def test_the_policy_of_the_emergency_counts_not_a_later_one(holding: Shop) -> None:
    overdue(holding)
    publish_policy(example(), actor=BY_THE_PORTAL)
    assert codes(make_release(holding, at="approved")) == ["owed"]


def paused(shop: Shop, *, acted: bool) -> Rollout:
    """A started rollout that somebody paused before or after its first act."""
    rollout = start(make_release(shop, at="approved"), shop)
    if acted:
        rollout.steps.filter(kind="set_image").update(acted_at=clock.now())
    Rollout.objects.filter(pk=rollout.pk).update(state="paused", pause={"reason": "person", "args": {}})
    Release.objects.filter(pk=rollout.release_id).update(state="paused")
    return Rollout.objects.get(pk=rollout.pk)


@long
@pytest.mark.parametrize("acted", [False, True])
def test_a_rollout_that_has_not_acted_yet_is_not_resumed_past_it(holding: Shop, acted: bool) -> None:
    rollout = paused(holding, acted=acted)
    emergency = overdue(holding)
    author = acting(holding.cast.author)
    off = overview(rollout, holding.cast.author).off
    assert (f"#{emergency.number}" in off.get("resume", "")) is not acted
    refused = []
    for kind in ("resume", "stop", "rollback"):
        try:
            rollouts.give_order(rollout.pk, kind, actor=author)
        except Conflict as error:
            refused.append((kind, error.code))
    assert refused == ([] if acted else [("resume", "owed")])


def test_only_grade_e_can_say_so_and_its_change_is_shown_in_words(shop: Shop) -> None:
    person("second", ("director", "*"))
    with pytest.raises(Invalid) as error:
        policy_table.read(example(D={"overdueHolds": True}))
    assert [each["field"] for each in error.value.missing] == ["D.overdue_holds"]
    administrator = ApiClient(shop.cast.administrator)
    body = {"grades": example(E={"overdueHolds": True}), "note": "Reviews are given."}
    made = administrator.post("/policy/proposals", body, Accept_Language="en").json()
    words = "An overdue review holds the next release of its services: no → yes"
    assert made["difference"] == [{"grade": "E", "lines": [words]}]
    assert made["table"]["E"]["overdueHolds"] is True
