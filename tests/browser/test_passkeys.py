"""Passkeys in a real browser with a device of its own: enrolling, signing in, deciding on grade D."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client, override_settings
from playwright.sync_api import expect
from pytest_django.live_server_helper import LiveServer

from approvals.models import Decision
from approvals.operations import publish_policy
from portal import clock
from portal.people.models import User
from tests.browser.test_release_pages import (
    BACKEND,
    PHONE,
    RISKY,
    Visitor,
    Visitors,
    browser,
    registry,
    shop,
    visitors,
    width_of,
)
from tests.factories import Shop, make_release, policy_table
from tests.people import BY_THE_PORTAL
from tests.soak import long

__all__ = ["browser", "registry", "shop", "visitors"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ADD = "/sign-in/second-factor/webauthn/add/"
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture(autouse=True)
def at_this_address(live_server: LiveServer) -> Iterator[None]:
    """Passkeys belong to the server that the browsers see."""
    cache.clear()
    with override_settings(PASSKEY_ORIGIN=live_server.url, PASSKEY_DOMAIN="localhost"):
        yield


def plug_in(visitor: Visitor) -> None:
    """Give the window a device that keeps passkeys and sees its owner's finger."""
    device = visitor.context.new_cdp_session(visitor.page)
    device.send("WebAuthn.enable")
    device.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})


def enrol(visitor: Visitor) -> None:
    """Add a passkey on the page."""
    plug_in(visitor)
    page = visitor.go(ADD)
    page.get_by_label("Name").fill("My phone")
    page.get_by_role("button", name="Add a passkey").click()
    # Without a password, the new passkey itself shows who wants to read the recovery codes.
    page.get_by_role("button", name="Show your passkey").click()
    page.wait_for_url("**/recovery-codes/")


def sign_in(visitor: Visitor, user: User) -> None:
    """Let the window be another person's."""
    client = Client()
    client.force_login(user, backend=BACKEND)
    visitor.context.clear_cookies()
    session = client.cookies["session"].value
    visitor.context.add_cookies([{"name": "session", "value": session, "url": visitor.address}])


@long
def test_a_passkey_signs_in_and_decides_within_five_minutes(
    shop: Shop, visitors: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_policy(policy_table(D={"secondFactor": "fresh"}), actor=BY_THE_PORTAL)
    release = make_release(shop, at="in_review", **RISKY)
    place = f"/releases/{release.number}/decide/approve/"
    lead = visitors.enter(shop.cast.team_lead, PHONE)
    enrol(lead)
    page = lead.go("/sign-out/")
    page.locator("main").get_by_role("button", name="Sign out").click()
    page = lead.go(f"/sign-in/?next={place}")
    assert width_of(page) <= PHONE[0]
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.locator("#decide-button")).to_be_visible()

    real = clock.now
    with monkeypatch.context() as later:
        later.setattr(clock, "now", lambda: real() + timedelta(seconds=301))
        page.locator("#decide-button").click()
        expect(page.locator("#decision-panel")).to_contain_text("Second factor needed")
        expect(page.locator("#decide-button")).to_have_count(0)
    assert not Decision.objects.exists()

    page.get_by_role("link", name="Show it").click()
    page.get_by_role("button", name="Show your passkey").click()
    page.wait_for_url(f"**{place}")
    page.locator("#decide-button").click()
    expect(page.locator("#review-title")).to_be_visible()
    decision = Decision.objects.get()
    assert (decision.person, decision.verdict) == (shop.cast.team_lead, "approve")
    assert [each for each in lead.complaints if "403" not in each and "409" not in each] == []


@long
def test_the_passkey_of_another_person_decides_nothing(shop: Shop, visitors: Visitors) -> None:
    publish_policy(policy_table(D={"secondFactor": "fresh"}), actor=BY_THE_PORTAL)
    release = make_release(shop, at="in_review", **RISKY)
    enrol(visitors.enter(shop.cast.team_lead))
    other = visitors.enter(shop.cast.infra_senior)
    enrol(other)
    sign_in(other, shop.cast.team_lead)
    page = other.go(f"/releases/{release.number}/decide/approve/")
    page.get_by_role("link", name="Show it").click()
    page.get_by_role("button", name="Show your passkey").click()
    expect(page.locator("[data-passkey-problem]")).to_contain_text("No passkey was shown")
    expect(page.locator("#decide-button")).to_have_count(0)
    other.go(f"/releases/{release.number}/decide/approve/")
    expect(page.locator("#decide-button")).to_have_count(0)
    assert other.complaints == []


@long
def test_without_scripts_the_pages_say_what_else_will_do(shop: Shop, visitors: Visitors) -> None:
    lead = visitors.enter(shop.cast.team_lead, PHONE, scripts=False)
    page = lead.go(ADD)
    expect(page.locator("main")).to_contain_text("Without it, take an authenticator app.")
    expect(page.get_by_role("button", name="Add a passkey")).to_have_count(0)
    page = lead.go("/sign-in/second-factor/totp/activate/")
    expect(page.get_by_role("button", name="Switch on")).to_be_visible()
    assert width_of(page) <= PHONE[0]
