"""Composing in the browser: ticking services, saving part by part, and what is refused."""

from typing import Any

import pytest
from django.test import Client

from releases.models import Release
from tests.factories import FakeRegistry, Shop, digest_for, make_release
from tests.pages.releases.conftest import Browse
from tests.soak import long

PICKED = {
    "environment": "shop-production",
    "service": ["shopping-service", "auth-service"],
    "version-shopping-service": "2.8.0",
    "version-auth-service": "2.9.0",
    "version-payment-service": "2.9.0",
    "once": "a-key",
}


def save(client: Client, release: Release, part: str, data: dict[str, Any], *, htmx: bool = False) -> Any:
    """Send one part of the page as its form does."""
    release.refresh_from_db()
    headers = {"HX-Request": "true"} if htmx else {}
    typed = {"content_digest": release.content_digest, "save": "1", **data}
    return client.post(f"/releases/{release.number}/edit/{part}/", typed, headers=headers)


def test_a_draft_is_made_from_ticked_services(shop: Shop, browse: Browse) -> None:
    answer = browse(shop.cast.author).post("/releases/new/", PICKED)
    release = Release.objects.get()
    assert answer.headers["Location"] == f"/releases/{release.number}/edit/"
    chosen = {item.service.name: item.digest for item in release.items.select_related("service")}
    assert chosen == {
        "shopping-service": digest_for("shopping-service", "2.8.0"),
        "auth-service": digest_for("auth-service", "2.9.0"),
    }
    assert (release.state, release.grade, release.author) == ("draft", "D", shop.cast.author)


def test_the_same_form_sent_twice_makes_one_draft(shop: Shop, browse: Browse) -> None:
    client = browse(shop.cast.author)
    first, second = client.post("/releases/new/", PICKED), client.post("/releases/new/", PICKED)
    assert first.headers["Location"] == second.headers["Location"]
    assert Release.objects.count() == 1


@long
def test_the_picker_shows_what_runs_and_what_is_on_offer(shop: Shop, browse: Browse) -> None:
    page = browse(shop.cast.author).get("/releases/new/?environment=shop-production&service=shopping-service")
    picks = {pick.service.name: pick for pick in page.context["picks"]}
    shopping = picks["shopping-service"]
    assert (shopping.running, shopping.chosen, shopping.ticked) == ("2.7.4", "2.9.0", True)
    assert not picks["auth-service"].ticked
    assert b"Runs now" in page.content


def test_nothing_ticked_is_refused_with_words(shop: Shop, browse: Browse) -> None:
    answer = browse(shop.cast.author).post("/releases/new/", {"environment": "shop-production"})
    assert answer.status_code == 422
    assert b"At least one service is needed." in answer.content
    assert not Release.objects.exists()


def test_a_version_that_is_gone_is_told_beside_its_service(
    shop: Shop, browse: Browse, registry: FakeRegistry
) -> None:
    registry.gone.add(("auth-service", "2.9.0"))
    answer = browse(shop.cast.author).post("/releases/new/", PICKED)
    assert answer.status_code == 422
    errors = {pick.service.name: pick.error for pick in answer.context["picks"] if pick.error}
    assert set(errors) == {"auth-service"}
    ticked = {pick.service.name for pick in answer.context["picks"] if pick.ticked}
    assert ticked == {"shopping-service", "auth-service"}


def test_a_silent_registry_leaves_the_page_standing(
    shop: Shop, browse: Browse, registry: FakeRegistry
) -> None:
    registry.is_reachable = False
    answer = browse(shop.cast.author).post("/releases/new/", PICKED)
    assert answer.status_code == 503
    assert b"The registry does not answer." in answer.content


def test_people_without_the_right_are_offered_nothing(shop: Shop, browse: Browse) -> None:
    page = browse(shop.cast.outsider).get("/releases/new/")
    assert b"You may not compose a release of any service." in page.content
    answer = browse(shop.cast.outsider).post("/releases/new/", PICKED)
    assert answer.status_code == 403
    assert not Release.objects.exists()


@long
def test_each_part_is_saved_by_itself(shop: Shop, browse: Browse) -> None:
    release = make_release(shop)
    client = browse(shop.cast.author)
    changes = {
        "changes-0-area": "API",
        "changes-0-text": "Reasons",
        "changes-1-area": "",
        "changes-1-text": "",
    }
    assert save(client, release, "changes", changes).headers["Location"].endswith("#part-changes")
    assert [str(change) for change in release.changes.all()] == ["[API] Reasons"]
    facts = {"fact-database_change": "on", "database-0-text": "One column", "grade": ""}
    save(client, release, "grade", facts)
    release.refresh_from_db()
    assert (release.grade, release.facts["database_change"]) == ("D", True)
    assert release.database_changes == [{"service": "", "text": "One column"}]
    save(client, release, "wording", {"title": "Shopping again", "announcement": "My words"})
    release.refresh_from_db()
    assert (release.title, release.announcement, release.grade) == ("Shopping again", "My words", "D")
    chosen = {"service": ["shopping-service"], "version-shopping-service": "2.9.0"}
    answer = save(client, release, "items", chosen, htmx=True)
    assert release.items.get().version == "2.9.0"
    assert 'id="plan-preview" hx-swap-oob="true"' in answer.content.decode()


@long
def test_changed_keys_are_written_beside_their_service_and_kept(shop: Shop, browse: Browse) -> None:
    release = make_release(shop)
    client = browse(shop.cast.author)
    chosen = {"service": ["shopping-service"], "version-shopping-service": "2.8.0"}
    keys = {
        "config-shopping-service-0-key": "BANNER",
        "config-shopping-service-0-before": "off",
        "config-shopping-service-0-after": "on",
        "config-shopping-service-1-key": "",
    }
    save(client, release, "items", {**chosen, **keys})
    kept = [{"key": "BANNER", "before": "off", "after": "on"}]
    assert release.items.get().configuration == kept
    assert 'value="BANNER"' in client.get(f"/releases/{release.number}/edit/").content.decode()
    save(client, release, "items", chosen)
    assert release.items.get().configuration == kept


@long
def test_a_part_saved_by_a_script_brings_everything_it_changed(shop: Shop, browse: Browse) -> None:
    release = make_release(shop)
    answer = save(
        browse(shop.cast.author), release, "grade", {"fact-database_change": "on", "grade": ""}, htmx=True
    )
    page = answer.content.decode()
    release.refresh_from_db()
    assert "<html" not in page
    assert "Saved." in page
    assert page.count(release.content_digest) == 5
    assert "- 배포등급: D(높음)" in page
    assert "DB 업데이트 여부: Y" in page


@long
def test_rows_are_added_and_removed_without_saving(shop: Shop, browse: Browse) -> None:
    release = make_release(shop)
    client = browse(shop.cast.author)
    rows = {"changes-0-area": "API", "changes-0-text": "one", "changes-1-area": "DB", "changes-1-text": "two"}
    added = client.post(f"/releases/{release.number}/edit/changes/", {**rows, "add": "1"})
    assert [row.values["text"] for row in added.context["change_rows"]] == ["one", "two", ""]
    removed = client.post(f"/releases/{release.number}/edit/changes/", {**rows, "remove": "changes-0"})
    assert [row.values["text"] for row in removed.context["change_rows"]] == ["two"]
    assert [change.text for change in release.changes.all()] == ["주문 취소 사유 추가"]


def test_wrong_input_stays_on_the_page_beside_its_reason(shop: Shop, browse: Browse) -> None:
    release = make_release(shop)
    rows = {
        "changes-0-area": "API",
        "changes-0-text": "kept",
        "changes-1-area": "",
        "changes-1-text": "typed and kept",
        "changes-1-link": "ftp://x",
    }
    answer = save(browse(shop.cast.author), release, "changes", rows, htmx=True)
    assert answer.status_code == 422
    first, second = answer.context["change_rows"][:2]
    assert (first.errors, second.values["text"]) == ({}, "typed and kept")
    assert set(second.errors) == {"area", "link"}
    assert b"typed and kept" in answer.content


@long
def test_a_lowered_grade_needs_a_reason_and_names_the_approver(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, facts={"database_change": True})
    client = browse(shop.cast.author)
    assert release.grade == "D"
    save(client, release, "grade", {"fact-database_change": "on", "grade": "B"})
    page = client.get(f"/releases/{release.number}/edit/")
    assert [point["part"] for point in page.context["points"]] == ["grade"]
    assert 'aria-disabled="true"' in page.content.decode()
    assert {row.role for row in page.context["requirements"]} == {"team_lead"}
    reason = {"fact-database_change": "on", "grade": "B", "grade_reason": "An index only"}
    save(client, release, "grade", reason)
    assert client.get(f"/releases/{release.number}/edit/").context["points"] == []


@long
def test_a_stale_page_is_refused_and_keeps_what_was_typed(shop: Shop, browse: Browse) -> None:
    release = make_release(shop)
    seen = release.content_digest
    client = browse(shop.cast.author)
    save(client, release, "grade", {"fact-new_api": "on", "grade": ""})
    late = {"content_digest": seen, "changes-0-area": "UI", "changes-0-text": "My late words"}
    answer = client.post(f"/releases/{release.number}/edit/changes/", late, headers={"HX-Request": "true"})
    assert answer.status_code == 409
    page = answer.content.decode()
    release.refresh_from_db()
    assert "My late words" in page
    assert "It changed while you looked." in page
    assert release.content_digest in page
    assert not release.changes.filter(text="My late words").exists()


def test_the_preview_follows_what_is_typed(shop: Shop, browse: Browse) -> None:
    release = make_release(shop)
    typed = {
        "service": ["shopping-service"],
        "version-shopping-service": "2.9.0",
        "changes-0-area": "API",
        "changes-0-text": "Not yet saved",
        "fact-database_change": "on",
        "grade": "C",
    }
    text = browse(shop.cast.author).post(f"/releases/{release.number}/preview/", typed).content.decode()
    assert "shopping-service(2.9.0)" in text
    assert "[API] Not yet saved" in text
    assert "C(중간)" in text
    assert "DB 업데이트 여부: Y" in text


@long
def test_submitting_seals_and_asks(shop: Shop, browse: Browse) -> None:
    release = make_release(shop)
    client = browse(shop.cast.author)
    panel = client.get(f"/releases/{release.number}/submit/")
    assert [row.role for row in panel.context["requirements"]] == ["pl"]
    answer = client.post(f"/releases/{release.number}/submit/")
    assert answer.headers["Location"] == f"/releases/{release.number}/"
    release.refresh_from_db()
    assert release.state == "in_review"
    again = client.post(f"/releases/{release.number}/submit/", headers={"HX-Request": "true"})
    assert again.status_code == 409


@long
def test_a_chain_nobody_can_fulfil_is_an_open_point_with_its_role(shop: Shop, browse: Browse) -> None:
    from portal.people.operations import deactivate_person  # noqa: PLC0415  read only here
    from tests.people import BY_THE_PORTAL  # noqa: PLC0415

    for username in ("pl", "lead", "director"):
        deactivate_person(username, actor=BY_THE_PORTAL)
    release = make_release(shop)
    page = browse(shop.cast.author).get(f"/releases/{release.number}/edit/")
    assert any("Director" in point["text"] for point in page.context["points"])
    answer = browse(shop.cast.author).post(f"/releases/{release.number}/submit/")
    assert answer.status_code == 409
    assert b"A role is missing" in answer.content


@long
def test_an_outsider_sees_the_parts_and_can_save_none(shop: Shop, browse: Browse) -> None:
    release = make_release(shop)
    client = browse(shop.cast.outsider)
    page = client.get(f"/releases/{release.number}/edit/").content.decode()
    assert 'name="save"' not in page
    answer = save(client, release, "wording", {"title": "Mine now"})
    assert answer.status_code == 403
    release.refresh_from_db()
    assert release.title == "Shopping 2.8.0"


@long
def test_a_duplicate_is_a_draft_with_the_same_content(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="approved")
    client = browse(shop.cast.author)
    key = client.get(f"/releases/{release.number}/duplicate/").context["once"]
    answers = [client.post(f"/releases/{release.number}/duplicate/", {"once": key}) for _try in range(2)]
    copy = Release.objects.latest("number")
    assert Release.objects.count() == 2
    assert {answer.headers["Location"] for answer in answers} == {f"/releases/{copy.number}/edit/"}
    assert (copy.state, copy.duplicate_of) == ("draft", release)


@long
def test_a_press_that_was_refused_is_refused_again_and_not_said_to_be_at_work(
    shop: Shop, browse: Browse
) -> None:
    client = browse(shop.cast.author)
    body = {"items": ["shopping-service"], "environment": "elsewhere", "once": "one-key"}
    assert [client.post("/releases/99/duplicate/", {"once": "k"}).status_code for _try in range(2)] == [
        404,
        404,
    ]
    assert [client.post("/releases/new/", body).status_code for _try in range(2)] == [422, 422]


@long
@pytest.mark.parametrize("at", ["draft", "in_review"])
def test_the_author_ends_a_release_before_its_start(shop: Shop, browse: Browse, at: str) -> None:
    release = make_release(shop, at=at)
    client = browse(shop.cast.author)
    assert client.get(f"/releases/{release.number}/withdraw/").status_code == 200
    client.post(f"/releases/{release.number}/withdraw/", {"reason": "Not needed"})
    release.refresh_from_db()
    assert release.state == "withdrawn"


@long
def test_facts_of_single_services_are_ticked_beside_those_of_the_release(shop: Shop, browse: Browse) -> None:
    items = [{"service": name, "version": "2.8.0"} for name in ("shopping-service", "auth-service")]
    release = make_release(shop, items=items)
    client = browse(shop.cast.author)
    page = client.get(f"/releases/{release.number}/edit/").content.decode()
    assert "True of auth-service alone" in page
    save(client, release, "grade", {"fact-new_api@shopping-service": "on", "fact-infrastructure": "on"})
    facts = {item.service.name: item.facts for item in release.items.select_related("service")}
    assert facts == {"shopping-service": {"new_api": True}, "auth-service": {}}
    release.refresh_from_db()
    assert release.facts["infrastructure"]
    page = client.get(f"/releases/{release.number}/edit/").content.decode()
    assert 'name="fact-new_api@shopping-service"' in page
    save(client, release, "items", {"service": ["shopping-service"], "version-shopping-service": "2.9.0"})
    assert release.items.get().facts == {"new_api": True}
