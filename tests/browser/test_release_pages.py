"""Composing, reviewing and following a release in a real browser, with and without scripts."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from portal.people.models import User
from releases import operations
from releases.models import Release
from tests.chromium import chromium, window
from tests.factories import Shop, decide, make_release
from tests.pages.releases.conftest import registry, shop
from tests.people import acting
from tests.soak import long

__all__ = ["registry", "shop"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

DESKTOP, PHONE, NARROW = (1440, 900), (390, 844), (320, 640)
LAST_ANSWERS_SECONDS = 5
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
RISKY: dict[str, Any] = {
    "items": [
        {"service": "shopping-service", "version": "2.8.0"},
        {"service": "payment-service", "version": "2.8.0"},
        {"service": "auth-service", "version": "2.9.0"},
    ],
    "facts": {"database_change": True, "traffic_path": True},
    "database_changes": [{"service": "shopping-service", "text": "orders.cancel_reason VARCHAR(200)"}],
    "title": "A release whose name is about forty letters",
}


@dataclass
class Visitor:
    """One signed-in person's browser; complaints are what its console reported."""

    context: BrowserContext
    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> Page:
        """Open a page of the portal."""
        self.page.goto(self.address + path)
        return self.page


@dataclass
class Visitors:
    """Opens browsers for people."""

    browser: Browser
    address: str

    def enter(self, user: User, size: tuple[int, int] = DESKTOP, *, scripts: bool = True) -> Visitor:
        """Sign a person in; the socket has no server here, so that its refusals are no complaints."""
        client = Client()
        client.force_login(user, backend=BACKEND)
        context = window(self.browser, *size, java_script_enabled=scripts, locale="en-GB")
        session = client.cookies["session"].value
        context.add_cookies([{"name": "session", "value": session, "url": self.address}])
        visitor = Visitor(context=context, page=context.new_page(), address=self.address)
        visitor.page.route_web_socket("**/ws/live", lambda _socket: None)
        visitor.page.on(
            "console",
            lambda said: visitor.complaints.append(said.text) if said.type in {"error", "warning"} else None,
        )
        visitor.page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        return visitor


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a file; Playwright's loop makes Django suspect an asynchronous caller.

    Under that loop Django keeps a second set of connections, so that each set is closed where it is left.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        connections.close_all()
        with chromium() as running:
            yield running
            connections.close_all()


@pytest.fixture
def visitors(browser: Browser, live_server: LiveServer) -> Iterator[Visitors]:
    """People's windows before the live server, closed at the end."""
    yield Visitors(browser=browser, address=live_server.url)
    for context in browser.contexts:
        context.close()
    wait_for_last_answers()


def wait_for_last_answers() -> None:
    """Let requests that the closed browser left behind end; the database cannot be emptied under them."""
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    until = time.monotonic() + LAST_ANSWERS_SECONDS
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            cursor.execute(others)
            if cursor.fetchone() == (0,):
                return
        time.sleep(0.05)


def width_of(page: Page) -> int:
    """How wide the document is, what is off to the side among it."""
    width = page.evaluate("document.documentElement.scrollWidth")
    assert isinstance(width, int)
    return width


@long
def test_pages_fit_the_phone_and_keep_the_security_policy(shop: Shop, visitors: Visitors) -> None:
    draft, review = make_release(shop, **RISKY), make_release(shop, at="in_review", **RISKY)
    lead = visitors.enter(shop.cast.team_lead, PHONE)
    author = visitors.enter(shop.cast.author, NARROW)
    for visitor, size in ((lead, PHONE), (author, NARROW)):
        for path in (
            "/releases/",
            "/releases/new/",
            f"/releases/{draft.number}/edit/",
            f"/releases/{review.number}/",
            f"/releases/{review.number}/review/",
            f"/releases/{review.number}/decide/approve/",
            f"/releases/{draft.number}/submit/",
        ):
            page = visitor.go(path)
            assert width_of(page) <= size[0], path
    assert lead.complaints == []
    assert author.complaints == []


@long
def test_what_decides_stands_above_the_bar_of_a_phone(shop: Shop, visitors: Visitors) -> None:
    release = make_release(shop, at="in_review", **RISKY)
    page = visitors.enter(shop.cast.team_lead, PHONE).go(f"/releases/{release.number}/review/")
    bar = page.locator("#review-bar").bounding_box()
    assert bar is not None
    for part in (".review-grade", ".review-part >> nth=0", ".review-tests", ".requirement-mine"):
        box = page.locator(part).bounding_box()
        assert box is not None
        assert box["y"] >= 0, part
        assert box["y"] + box["height"] <= bar["y"], part


@long
def test_danger_stands_away_from_the_normal_button(shop: Shop, visitors: Visitors) -> None:
    release = make_release(shop, at="in_review")
    page = visitors.enter(shop.cast.pl, PHONE).go(f"/releases/{release.number}/review/")
    reject = page.locator("#reject-link").bounding_box()
    approve = page.locator("#approve-link").bounding_box()
    assert reject is not None
    assert approve is not None
    assert approve["x"] - (reject["x"] + reject["width"]) >= 16
    assert min(reject["height"], approve["height"]) >= 44


@long
def test_approving_by_keyboard_opens_a_panel_without_reloading(shop: Shop, visitors: Visitors) -> None:
    release = make_release(shop, at="in_review")
    visitor = visitors.enter(shop.cast.pl)
    page = visitor.go(f"/releases/{release.number}/review/")
    page.evaluate("window.stayed = true")
    page.keyboard.press("a")
    expect(page.locator("#approve-link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_be_focused()
    assert page.evaluate("window.stayed") is True
    release.refresh_from_db()
    assert release.state == "in_review"
    page.locator("#decide-button").click()
    expect(page.locator("#review-title")).to_contain_text("Approved")
    release.refresh_from_db()
    assert release.state == "approved"
    assert visitor.complaints == []


@long
def test_a_content_that_changed_meanwhile_keeps_the_typed_words(shop: Shop, visitors: Visitors) -> None:
    release = make_release(shop, at="in_review")
    page = visitors.enter(shop.cast.pl).go(f"/releases/{release.number}/review/")
    page.locator("#send-back-link").click()
    page.get_by_label("Reason").fill("Please add the test report")
    operations.edit_release(
        release.number,
        {"facts": {"new_api": True}},
        actor=acting(shop.cast.author),
        if_match=release.content_digest,
    )
    page.locator("#decide-button").click()
    panel = page.locator("#decision-panel")
    expect(panel.locator(".problem")).to_be_visible()
    expect(panel).to_contain_text("Please add the test report")
    expect(panel).to_contain_text("What changed while you looked")
    expect(page.locator("#decide-button")).to_have_count(0)


@long
def test_composing_saves_part_by_part_and_shows_the_announcement(shop: Shop, visitors: Visitors) -> None:
    visitor = visitors.enter(shop.cast.author)
    page = visitor.go("/releases/new/")
    page.locator("#version-shopping-service").select_option("2.8.0")
    expect(page.locator("#service-shopping-service")).to_be_checked()
    page.get_by_role("button", name="Make the draft").click()
    page.wait_for_url("**/edit/")
    page.evaluate("window.stayed = true")
    before = page.locator("#digest-grade").input_value()
    page.locator("#change-area-0").fill("API")
    page.locator("#change-text-0").fill("Reasons for cancelling")
    expect(page.locator("#preview-text")).to_contain_text("[API] Reasons for cancelling")
    page.locator("#change-add").click()
    expect(page.locator("#change-text-1")).to_be_visible()
    expect(page.locator("#change-text-0")).to_have_value("Reasons for cancelling")
    page.locator("#save-changes").click()
    expect(page.locator("#part-changes")).to_contain_text("Saved.")
    expect(page.locator("#digest-grade")).not_to_have_value(before)
    page.get_by_label("Database change", exact=True).check()
    page.locator("#save-grade").click()
    expect(page.locator("#compose-title .grade-letter")).to_have_text("D")
    expect(page.locator("#preview-text")).to_contain_text("DB 업데이트 여부: Y")
    assert page.evaluate("window.stayed") is True
    release = Release.objects.get()
    assert (release.grade, release.changes.get().text) == ("D", "Reasons for cancelling")
    assert visitor.complaints == []


@long
def test_two_saves_in_a_row_do_not_get_in_each_others_way(shop: Shop, visitors: Visitors) -> None:
    release = make_release(shop)
    page = visitors.enter(shop.cast.author).go(f"/releases/{release.number}/edit/")
    page.get_by_label("New API").check()
    page.locator("#save-grade").click()
    expect(page.locator("#part-grade")).to_contain_text("Saved.")
    page.get_by_label("Title").fill("Another title")
    page.locator("#save-wording").click()
    expect(page.locator("#compose-title")).to_contain_text("Another title")
    expect(page.locator("#part-wording .problem")).to_have_count(0)


@long
def test_everything_up_to_the_approval_works_without_scripts(shop: Shop, visitors: Visitors) -> None:
    author = visitors.enter(shop.cast.author, scripts=False)
    page = author.go("/releases/new/")
    page.locator("#service-shopping-service").check()
    page.get_by_role("button", name="Make the draft").click()
    page.locator("#change-area-0").fill("API")
    page.locator("#change-text-0").fill("Reasons for cancelling")
    page.locator("#save-changes").click()
    page.get_by_role("link", name="Submit for review").click()
    page.get_by_role("button", name="Submit for review").click()
    expect(page.locator("#release-title")).to_contain_text("In review")
    release = Release.objects.get()
    approver = visitors.enter(shop.cast.pl, scripts=False).go(f"/releases/{release.number}/review/")
    approver.locator("#approve-link").click()
    approver.locator("#decide-button").click()
    expect(approver.locator("#review-title")).to_contain_text("Approved")
    release.refresh_from_db()
    assert (release.state, release.changes.get().text) == ("approved", "Reasons for cancelling")


def test_a_phone_shows_one_part_of_a_draft_at_a_time(shop: Shop, visitors: Visitors) -> None:
    release = make_release(shop)
    page = visitors.enter(shop.cast.author, PHONE).go(f"/releases/{release.number}/edit/")
    expect(page.locator("#part-items")).to_be_visible()
    expect(page.locator("#part-grade")).to_be_hidden()
    page.get_by_role("link", name="3 Grade").click()
    expect(page.locator("#part-grade")).to_be_visible()
    expect(page.locator("#part-items")).to_be_hidden()
    page.get_by_label("New API").check()
    page.locator("#save-grade").click()
    expect(page.locator("#part-grade")).to_contain_text("Saved.")


@long
def test_a_part_under_way_is_not_swapped_by_what_others_do(shop: Shop, visitors: Visitors) -> None:
    release = make_release(shop, at="in_review", facts={"database_change": True})
    visitor = visitors.enter(shop.cast.team_lead)
    dry_runs: list[str] = []
    visitor.page.on("request", lambda sent: dry_runs.append(sent.url) if "/plan/" in sent.url else None)
    page = visitor.go(f"/releases/{release.number}/review/")
    page.locator("#send-back-link").click()
    page.get_by_label("Reason").fill("Half a sentence")
    decide(release, shop.cast.qa, "object", "Not tested")
    page.evaluate("htmx.trigger('#review', 'live')")
    expect(page.locator("#review")).to_contain_text("Objection by Qa")
    assert len(dry_runs) == 1  # the cluster is not asked again for the same content
    expect(page.get_by_label("Reason")).to_have_value("Half a sentence")
