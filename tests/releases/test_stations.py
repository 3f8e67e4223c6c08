"""Environments in a row: what is tried in one is carried to the next, image by image."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from approvals.calendar.operations import add_freeze
from portal import clock
from portal.errors import Conflict, Invalid, NotAllowed
from portal.outbox.models import Message
from releases import operations, stations
from releases.catalog import rights
from releases.catalog.models import Environment, EnvironmentGroupPermission, Plan, Stage
from releases.models import Release
from releases.rollouts.models import Rollout
from tests.factories import (
    ENGINE,
    FakeRegistry,
    Shop,
    approve_all,
    make_checklist,
    make_environment,
    make_release,
    roll_out,
    runs,
    verify,
)
from tests.people import acting
from tests.portal.api import ApiClient
from tests.soak import long

pytestmark = pytest.mark.django_db
WAVES = {"waves": [{"title": "All", "services": ["shopping-service"]}]}


@dataclass(frozen=True)
class Row:
    """The shop's production after a beta that asks for no approval and has an item for QA."""

    shop: Shop
    beta: Environment

    def to_beta(self, version: str = "2.8.0") -> Release:
        """A release of shopping-service that went out to the beta."""
        items = [{"service": "shopping-service", "version": version}]
        release = make_release(self.shop, at="approved", environment="shop-beta", items=items)
        roll_out(release, self.shop)
        return verify(release)

    def ask(self, **after: bool) -> None:
        """Let production ask for something of the beta."""
        production = self.shop.environment
        production.spec = {"after": {"environment": "shop-beta", **after}}
        production.save()


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """What is refused is compared in English."""
    with translation.override("en"):
        yield


@pytest.fixture
def row(shop: Shop) -> Row:
    """A row of two."""
    names = {"title": "Beta", "stage": "staging", "cluster_group": "production"}
    beta = make_environment(shop, "shop-beta", protected=False, **names)
    shop.shopping.environments.add(beta)
    Plan.objects.create(name="shop-beta", spec=WAVES).environments.add(beta)
    rights.grant()
    checks = make_checklist({"phase": "after", "text": "Pay with a card", "role": "qa"}, name="beta")
    checks.spec["environments"] = ["shop-beta"]
    checks.save()
    made = Row(shop, beta)
    made.ask(ran=True, qa=True)
    return made


def test_nobody_is_asked_where_nothing_is_protected(row: Row) -> None:
    release = make_release(row.shop, at="approved", environment="shop-beta")

    assert release.approval_request is not None
    assert not release.approval_request.requirements.exists()


@long
def test_an_environment_that_became_protected_starts_nothing_that_nobody_approved(row: Row) -> None:
    release = make_release(row.shop, at="approved", environment="shop-beta")
    Environment.objects.filter(pk=row.beta.pk).update(protected=True)

    with pytest.raises(Conflict) as refused:
        roll_out(release, row.shop)

    assert refused.value.code == "not_approved"


def test_an_emergency_is_reviewed_wherever_it_goes(row: Row) -> None:
    incident = {"link": "https://x.example/1"}
    draft = make_release(row.shop, environment="shop-beta", grade="E", grade_reason="down", incident=incident)
    release = operations.submit_release(draft.number, actor=acting(row.shop.cast.author))

    assert release.approval_request is not None
    assert set(release.approval_request.requirements.values_list("phase", flat=True)) == {"owed"}


@long
def test_production_waits_until_the_same_image_ran_before_and_qa_has_answered(row: Row) -> None:
    draft, author = make_release(row.shop), acting(row.shop.cast.author)

    with pytest.raises(Invalid) as unseen:
        operations.submit_release(draft.number, actor=author)
    beta = row.to_beta()
    with pytest.raises(Invalid) as untested:
        operations.submit_release(draft.number, actor=author)
    operations.answer_check(beta.number, beta.checks.get().pk, actor=acting(row.shop.cast.qa), result="done")
    submitted = operations.submit_release(draft.number, actor=author)

    assert "did not go out" in unseen.value.missing[0]["text"]
    assert f"1 open items at #{beta.number}" in untested.value.missing[0]["text"]
    assert submitted.state == "in_review"


def test_the_same_tag_with_another_image_has_not_been_tried(row: Row, registry: FakeRegistry) -> None:
    row.ask(ran=True)
    row.to_beta()
    registry.move("shopping-service", "2.8.0")
    draft = make_release(row.shop)

    assert "did not go out" in str(stations.missing_before(draft)[0])


@long
def test_what_failed_in_the_beta_counts_no_more(row: Row) -> None:
    row.ask(ran=True)
    draft, beta = make_release(row.shop), row.to_beta()
    assert stations.missing_before(draft) == []

    operations.follow(beta, "rolling_back", actor=ENGINE)

    assert "taken back" in str(stations.missing_before(draft)[0])


def test_what_failed_in_the_beta_does_not_count_because_its_release_was_closed(row: Row) -> None:
    row.ask(ran=True)
    items = [{"service": "shopping-service", "version": "2.8.0"}]
    beta = make_release(row.shop, at="approved", environment="shop-beta", items=items)
    rollout = roll_out(beta, row.shop)
    operations.follow(beta, "failed", actor=ENGINE)
    Rollout.objects.filter(pk=rollout.pk).update(state="failed")
    for check in beta.checks.all():
        operations.answer_check(beta.number, check.pk, actor=acting(row.shop.cast.qa), result="done")
    closed = operations.close_release(beta.number, actor=acting(row.shop.cast.author))

    assert closed.state == "closed"
    assert "did not go out" in str(stations.missing_before(make_release(row.shop))[0])


def test_a_service_that_was_skipped_in_the_beta_was_not_tried_there(row: Row) -> None:
    row.ask(ran=True)
    beta = row.to_beta()
    seen = {"expected": {}, "found": {}, "reported": True}
    skipped = {"service": "shopping-service", "ok": False, "skipped": {"by": "author"}, **seen}
    Rollout.objects.filter(release=beta).update(verdict={"exact": False, "services": [skipped]})

    assert "did not go out" in str(stations.missing_before(make_release(row.shop))[0])


@long
def test_qa_is_asked_when_the_beta_is_up_and_its_owner_told_when_qa_is_done(row: Row) -> None:
    qa = row.shop.cast.qa
    beta = row.to_beta()
    asked = Message.objects.filter(key__contains=".qa.", recipient__contains=qa.username)
    check = beta.checks.get()
    operations.answer_check(beta.number, check.pk, actor=acting(qa), result="failed", evidence="declined")
    done = Message.objects.filter(key__contains=".qa_done.")
    early = done.count()
    operations.answer_check(beta.number, check.pk, actor=acting(qa), result="done")

    assert (asked.count(), early, done.count()) == (1, 0, 1)


@long
def test_what_is_carried_keeps_its_image_though_the_tag_moves(row: Row, registry: FakeRegistry) -> None:
    row.ask(ran=True)
    beta = row.to_beta()
    registry.move("shopping-service", "2.8.0")
    author = acting(row.shop.cast.author)

    carried = operations.carry_release(beta.number, "shop-production", actor=author)
    operations.submit_release(carried.number, actor=author)

    assert carried.carried_from == beta
    assert carried.items.get().digest == beta.items.get().digest
    assert carried.environment == row.shop.environment


@long
def test_another_version_written_into_it_is_asked_for_again(row: Row, registry: FakeRegistry) -> None:
    row.ask()
    author, beta = acting(row.shop.cast.author), row.to_beta()
    carried = operations.carry_release(beta.number, "shop-production", actor=author)
    items = [{"service": "shopping-service", "version": "2.9.0"}]
    operations.edit_release(carried.number, {"items": items}, actor=author, if_match=carried.content_digest)
    moved = registry.move("shopping-service", "2.9.0")

    operations.submit_release(carried.number, actor=author)

    assert carried.items.get().digest == moved


@long
@pytest.mark.parametrize("target", ["shop-beta", "nowhere"])
def test_it_is_carried_only_to_what_follows(row: Row, target: str) -> None:
    beta = row.to_beta()

    with pytest.raises(Invalid):
        operations.carry_release(beta.number, target, actor=acting(row.shop.cast.author))


@long
def test_who_may_not_compose_carries_nothing_and_no_author_is_lost(row: Row) -> None:
    beta = row.to_beta()
    with pytest.raises(NotAllowed):
        operations.carry_release(beta.number, "shop-production", actor=acting(row.shop.cast.outsider))

    carried = operations.carry_release(beta.number, "shop-production", actor=acting(row.shop.cast.team_lead))

    assert row.shop.cast.author in carried.contributors.all()


@long
def test_the_release_shows_where_its_images_are(row: Row, client: Client) -> None:
    beta = row.to_beta()
    seen = runs(row.shop.shopping, row.beta, "2.8.0")
    seen.since, seen.release = clock.now(), beta.number
    seen.save()
    runs(row.shop.shopping, row.shop.environment, "2.7.0")
    client.force_login(row.shop.cast.author)
    api = ApiClient(row.shop.cast.author)

    page = client.get(f"/releases/{beta.number}/", headers={"accept-language": "en"}).content.decode()
    stops = api.get(f"/releases/{beta.number}/row").json()["items"]
    panel = f"/releases/{beta.number}/carry/shop-production/"
    sent = client.post(panel, {"once": "a"})
    again = client.post(panel, {"once": "a"})

    assert panel in page
    assert [(each["environment"], each["here"], each["places"][0]["same"]) for each in stops] == [
        ("shop-beta", True, True),
        ("shop-production", False, False),
    ]
    assert sent.url == again.url == f"/releases/{Release.objects.get(carried_from=beta).number}/edit/"  # type: ignore[attr-defined]


@long
def test_the_api_carries_and_says_from_where(row: Row) -> None:
    beta = row.to_beta()
    answer = ApiClient(row.shop.cast.author).post(
        f"/releases/{beta.number}/carry", {"environment": "shop-production"}
    )

    assert (answer.status_code, answer.json()["carried_from"]) == (201, beta.number)


@long
def test_what_is_taken_back_from_the_beta_later_does_not_start(row: Row) -> None:
    beta, author = row.to_beta(), acting(row.shop.cast.author)
    operations.answer_check(beta.number, beta.checks.get().pk, actor=acting(row.shop.cast.qa), result="done")
    release = operations.carry_release(beta.number, "shop-production", actor=author)
    operations.submit_release(release.number, actor=author)
    approve_all(release)
    operations.follow(beta, "rolling_back", actor=ENGINE)

    with pytest.raises(Conflict) as refused:
        roll_out(release, row.shop)

    assert refused.value.code == "untried"


def seen_in_beta(row: Row, beta: Release) -> None:
    """Let the watcher see what a release brought to the beta, and an older one in production."""
    seen = runs(row.shop.shopping, row.beta, "2.8.0")
    seen.since, seen.release = clock.now(), beta.number
    seen.save()
    runs(row.shop.shopping, row.shop.environment, "2.7.0")


def onward(row: Row) -> dict[str, Any]:
    """How what stands in the beta stands to production, as the API says it."""
    lines = ApiClient(row.shop.cast.author).get("/systems/shop/row", accept_language="en").json()["items"]
    line = next(each for each in lines if each["service"] == "shopping-service")
    place = next(each for each in line["places"] if each["environment"] == "shop-beta")
    (found,) = place["onward"]
    assert isinstance(found, dict)
    return found


@long
def test_the_row_of_a_system_says_what_may_go_on_until_it_is_there(row: Row) -> None:
    author, qa = acting(row.shop.cast.author), acting(row.shop.cast.qa)
    beta = row.to_beta()
    seen_in_beta(row, beta)
    held = onward(row)
    operations.answer_check(beta.number, beta.checks.get().pk, actor=qa, result="done")
    free = onward(row)
    carried = operations.carry_release(beta.number, "shop-production", actor=author)
    operations.submit_release(carried.number, actor=author)
    moving = onward(row)
    runs(row.shop.shopping, row.shop.environment, "2.8.0")
    there = onward(row)

    found = [(each["way"], each["release"]) for each in (held, free, moving, there)]
    assert found == [
        ("held", beta.number),
        ("free", beta.number),
        ("moving", carried.number),
        ("there", None),
    ]
    assert f"1 open items at #{beta.number}" in held["reasons"][0]
    assert not free["reasons"]


@long
def test_what_is_not_as_released_is_not_offered_as_tried(row: Row) -> None:
    runs(row.shop.shopping, row.shop.environment, "2.7.0")
    foreign = runs(row.shop.shopping, row.beta, "2.8.0")
    nobodys = onward(row)
    beta = row.to_beta()
    foreign.release, foreign.seen = beta.number, {**foreign.seen, "digests": ["sha256:another"]}
    foreign.save()
    another = onward(row)
    operations.follow(beta, "rolling_back", actor=ENGINE)
    taken_back = onward(row)

    assert (nobodys["way"], nobodys["release"]) == ("none", None)
    assert f"is not what #{beta.number} brought" in another["reasons"][0]
    assert any("Rolling back" in text for text in taken_back["reasons"])


@long
def test_the_page_of_a_row_leads_to_the_carrying_and_says_what_closes_an_environment(
    row: Row, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    beta = row.to_beta()
    seen_in_beta(row, beta)
    now = clock.now()
    add_freeze(
        actor=acting(row.shop.cast.administrator),
        name="Year end",
        reason="Sales",
        scope="environment:shop-production",
        starts=now,
        ends=now + timedelta(hours=2),
        zone="Asia/Seoul",
    )
    monkeypatch.setattr("releases.rollouts.views.systems.PAGE_SIZE", 2)
    panel = f"/releases/{beta.number}/carry/shop-production/"
    pages = {}
    for name in ("author", "outsider"):
        client.force_login(getattr(row.shop.cast, name))
        english = {"accept-language": "en"}
        first = client.get("/systems/", headers=english, follow=True).content.decode()
        assert 'href="/systems/shop/row/?after=payment-service"' in first
        pages[name] = client.get("/systems/shop/row/part/?after=payment-service", headers=english)

    shown = pages["author"].content.decode()
    assert panel in shown
    assert panel not in pages["outsider"].content.decode()
    for text in (f"#{beta.number}", "2.8.0", "2.7.0", "after Beta", "Year end", "1 open items"):
        assert text in shown, text


@long
def test_a_system_of_which_one_sees_nothing_is_not_there(row: Row, client: Client) -> None:
    client.force_login(row.shop.cast.outsider)
    api = ApiClient(row.shop.cast.outsider)
    for system in ("nothing", "shop"):
        Environment.objects.filter(system="shop").update(system="hidden")
        assert client.get(f"/systems/{system}/row/").status_code == 404
        assert api.get(f"/systems/{system}/row").status_code == 404


@pytest.mark.parametrize("known", [True, False])
def test_without_an_environment_or_a_row_the_page_says_what_to_do(
    row: Row, client: Client, known: bool
) -> None:
    Environment.objects.update(spec={})
    if not known:
        EnvironmentGroupPermission.objects.all().delete()
    client.force_login(row.shop.cast.outsider)
    page = client.get("/systems/", headers={"accept-language": "en"}, follow=True).content.decode()
    told = "No environment of this system follows another" if known else "no environment that you may see"
    assert told in page


@given(before=st.lists(st.integers(0, 9), max_size=8), stages=st.lists(st.sampled_from(Stage.values)))
def test_a_row_names_every_environment_once_behind_what_it_follows(
    before: list[int], stages: list[str]
) -> None:
    environments = [
        Environment(
            name=f"env-{number}",
            stage=stages[number] if number < len(stages) else Stage.STAGING,
            # Only earlier ones, or one that nobody sees.
            spec={"after": {"environment": f"env-{earlier if earlier < number else 99}"}},
        )
        for number, earlier in enumerate(before)
    ]
    ordered = [each.name for each in stations.in_rows(environments)]
    assert sorted(ordered) == sorted(each.name for each in environments)
    places = {name: place for place, name in enumerate(ordered)}
    for each in environments:
        assert places.get(stations.before_of(each), -1) < places[each.name]
