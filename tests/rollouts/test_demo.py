"""The demo's releases: each case that a list must tell from the others, made by people's own acts."""

import io
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django.fixtures import Settings

from portal.audit.models import AuditEntry
from portal.people.models import User
from releases import operations, queries
from releases.catalog.models import Environment, Service
from releases.inbox import inbox
from releases.models import Release
from releases.rollouts import demo
from releases.rollouts.jobs import make_demo_releases
from tests.factories import FakeRegistry, decide, runs, verify
from tests.people import acting
from tests.soak import long

pytestmark = pytest.mark.django_db
STATES = {
    "expired": ("만료됨", "Expired"),
    "superseded": ("대체됨", "Superseded"),
    "in_review": ("검토 중", "In review"),
    "sent_back": ("보완 요청", "Sent back"),
    "announced": ("공지됨", "Announced"),
    "approved": ("승인됨", "Approved"),
    "awaiting_signoff": ("결과 확인 대기", "Awaiting sign-off"),
    "review_owed": ("사후 검토 남음", "Review owed"),
}


@pytest.fixture
def full(registry: FakeRegistry, settings: Settings) -> None:
    """The demo's people and systems on the practice cluster, which the watcher has seen."""
    settings.DEMO, settings.PRACTICE_REGISTRY_URL = "full", "http://registry.practice"
    call_command("demo", stdout=io.StringIO())
    for service, environment in demo.STARTING_POINTS:
        place = Environment.objects.get(name=environment)
        runs(Service.objects.get(name=service), place, "what-ran-before")


def page(username: str, address: str, language: str) -> Any:
    """A page as somebody reads it."""
    client = Client(headers={"Accept-Language": language})
    client.force_login(User.objects.get(username=username))
    return client.get(address).content.decode()


@long
def test_each_case_is_there_once_and_told_apart_in_both_languages(full: None) -> None:
    make_demo_releases()
    make_demo_releases()
    for release in Release.objects.filter(state="rolling_out"):
        verify(release)
    make_demo_releases()
    make_demo_releases()
    assert sorted(Release.objects.values_list("state", flat=True)) == sorted([*STATES, "review_owed"])
    for language, at in (("ko", 0), ("en", 1)):
        shown = page("jiho", "/releases/", language)
        assert [names[at] for names in STATES.values() if names[at] not in shown] == []
    missed = queries.missed_reviews(list(Environment.objects.all()))
    assert [release.items.get().service.name for release in missed] == ["plate-llm"]
    owed = inbox(User.objects.get(username="insung"))
    assert [row.phase for row in owed] == ["owed", "owed"]
    sent_back = Release.objects.get(state="sent_back")
    assert "되돌리는 방법이 없습니다" in page("jimin", f"/releases/{sent_back.number}/", "ko")
    delegated = Release.objects.get(state="approved")
    assert delegated.carried_from == Release.objects.get(state="announced")
    decision = queries.decisions_of(delegated).get()
    assert decision.on_behalf_of is not None
    assert (decision.person.username, decision.on_behalf_of.username) == ("donghae", "mikyung")
    shown = page("gamsa", f"/releases/{delegated.number}/", "ko")
    record = shown.partition('id="record"')[2].partition("</ol>")[0]
    assert record.count("성미경 대신") == 1


@long
@pytest.mark.parametrize(("result", "carried"), [("", 1), ("failed", 0)])
def test_what_ran_in_the_beta_is_carried_on_where_nobody_was_faster(
    full: None, result: str, carried: int
) -> None:
    make_demo_releases()
    tried = Release.objects.get(environment__name=demo.BETA)
    verify(tried)
    if result:
        qa = acting(User.objects.get(username="byungho"))
        item = tried.checks.order_by("position").first()
        assert item is not None
        operations.answer_check(tried.number, item.pk, actor=qa, result=result, evidence="declined")
    make_demo_releases()
    assert tried.carried.filter(environment__name=demo.PRODUCTION).count() == carried


@long
def test_an_overdue_review_is_told_from_one_that_has_time_until_it_is_given(full: None) -> None:
    make_demo_releases()
    for release in Release.objects.filter(state="rolling_out"):
        verify(release)
    late = Release.objects.get(title__contains="plate-llm")
    for language, word in (("ko", "기한 지남"), ("en", "Overdue")):
        for username, address, count in (
            ("gamsa", "/releases/", 1),
            ("insung", "/", 1),
            ("gamsa", f"/releases/{late.number}/", 1),
            ("insung", f"/releases/{late.number}/review/", 1),
        ):
            assert page(username, address, language).count(word) == count, (address, language)
    replaced = Release.objects.get(state="superseded").superseded_by_id
    assert f"Replaced by #{replaced}." in page("gamsa", "/releases/", "en")
    decide(late, User.objects.get(username="insung"))
    late.refresh_from_db()
    assert late.state == "review_owed"  # its last checks are open
    assert "Overdue" not in page("gamsa", "/releases/", "en")
    assert "is reviewed afterwards" in page("gamsa", f"/releases/{late.number}/proof/", "en")


@long
def test_the_record_tells_it_in_the_order_of_its_days(full: None) -> None:
    make_demo_releases()
    named = {release.pk: release for release in Release.objects.all()}
    for number in named:
        days = list(AuditEntry.objects.filter(release=number).order_by("id").values_list("at", flat=True))
        assert days == sorted(days)
    first = AuditEntry.objects.order_by("id").first()
    assert first is not None
    assert first.at < min(release.created_at for release in named.values())


@long
@pytest.mark.parametrize("change", [{"DEMO": "people"}, {"PRACTICE_REGISTRY_URL": ""}])
def test_nothing_is_made_away_from_the_practice_cluster(
    full: None, settings: Settings, change: dict[str, str]
) -> None:
    for name, value in change.items():
        setattr(settings, name, value)
    make_demo_releases()
    assert not Release.objects.exists()
