"""Where the policy says so, who decides has shown a second factor within five minutes."""

import json
import time
from typing import Any
from urllib.parse import quote

import pytest
from allauth.account.internal.flows.login import (
    _AUTHENTICATION_METHODS_USER_SESSION_KEY as WHOSE,
)
from allauth.account.internal.flows.login import (
    AUTHENTICATION_METHODS_SESSION_KEY,
)
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client

from approvals.operations import publish_policy
from portal.people.models import User
from releases.models import Release
from tests.factories import Shop, make_release, policy_table
from tests.passkeys import Device, options_on
from tests.people import BY_THE_PORTAL
from tests.portal.api import ApiClient
from tests.portal.people.test_second_factor import code_of
from tests.soak import long


@pytest.fixture
def release(shop: Shop) -> Release:
    """A release in review whose grade asks for a fresh second factor."""
    publish_policy(policy_table(B={"secondFactor": "fresh"}), actor=BY_THE_PORTAL)
    return make_release(shop, at="in_review")


def browser(user: User, *, shown_seconds_ago: float | None = None, method: str = "mfa") -> Client:
    """The person's browser, whose session has seen the factor at some time."""
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(user)
    if shown_seconds_ago is not None:
        session = client.session
        session[AUTHENTICATION_METHODS_SESSION_KEY] = [
            {"method": method, "at": time.time() - shown_seconds_ago}
        ]
        session[WHOSE] = str(user.pk)
        session.save()
    return client


def approve(client: Client, release: Release) -> Any:
    """Press the button, whether or not the page shows it."""
    sent = {"content_digest": release.content_digest}
    return client.post(f"/releases/{release.number}/decide/approve/", sent)


@long
def test_a_decision_needs_a_factor_shown_within_five_minutes(shop: Shop, release: Release) -> None:
    for without in (
        browser(shop.cast.pl),
        browser(shop.cast.pl, shown_seconds_ago=301),
        browser(shop.cast.pl, shown_seconds_ago=1, method="password"),
    ):
        answer = approve(without, release)
        assert (answer.status_code, b"Second factor needed" in answer.content) == (403, True)
    release.refresh_from_db()
    assert release.state == "in_review"
    assert approve(browser(shop.cast.pl, shown_seconds_ago=200), release).status_code == 302
    release.refresh_from_db()
    assert release.state == "approved"


@long
def test_a_token_cannot_decide_and_is_told_so_but_may_object(shop: Shop, release: Release) -> None:
    client = ApiClient(shop.cast.pl)
    body = {"verdict": "approve", "content_digest": release.content_digest}
    answer = client.post(f"/releases/{release.number}/decisions", body)
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor")
    objection = {**body, "verdict": "object", "reason": "Wait."}
    assert client.post(f"/releases/{release.number}/decisions", objection).status_code == 201
    stranger = ApiClient(shop.cast.qa).post(f"/releases/{release.number}/decisions", body)
    assert stranger.json()["code"] == "not_entitled"


@long
def test_the_page_leads_to_the_factor_and_back(shop: Shop, release: Release) -> None:
    client = browser(shop.cast.pl)
    place = f"/releases/{release.number}/decide/approve/"
    assert b'href="/sign-in/second-factor/"' in client.get(place).content
    secret = generate_totp_secret()
    TOTP.activate(shop.cast.pl, secret)
    page = client.get(place).content.decode()
    way = f"/sign-in/second-factor/reauthenticate/?next=%2Freleases%2F{release.number}%2Fdecide%2Fapprove%2F"
    assert way in page
    assert 'id="decide-button"' not in page
    answer = client.post(way, {"code": code_of(secret), "next": place})
    assert answer.headers["Location"] == place
    assert 'id="decide-button"' in client.get(place).content.decode()
    assert approve(client, release).status_code == 302


@long
def test_grades_that_do_not_say_so_ask_for_none(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    assert approve(browser(shop.cast.pl), release).status_code == 302


@long
def test_a_passkey_serves_as_well_and_what_was_typed_is_there_again(shop: Shop, release: Release) -> None:
    client, device = browser(shop.cast.pl), Device()
    place = f"/releases/{release.number}/decide/send_back/"
    assert 'href="/sign-in/second-factor/"' in client.get(place).content.decode()
    device.enrol(client)
    sent = {"content_digest": release.content_digest, "reason": "The test report is missing."}
    way = f"/sign-in/second-factor/webauthn/reauthenticate/?next={quote(place, safe='')}"
    assert way in client.post(place, sent).content.decode()
    credential = json.dumps(device.shown(options_on(client, way)))
    assert client.post(way, {"credential": credential, "next": place}).headers["Location"] == place
    assert "The test report is missing." in client.get(place).content.decode()
    assert client.post(place, sent).status_code == 302
    release.refresh_from_db()
    assert release.state == "sent_back"


@long
def test_the_api_asks_a_browser_session_for_it_too(shop: Shop, release: Release) -> None:
    path, body = (
        f"/releases/{release.number}/decisions",
        {"verdict": "approve", "content_digest": release.content_digest},
    )
    by_session = ApiClient(None)
    for ago, status in ((None, 403), (301.0, 403), (200.0, 201)):
        by_session.client = browser(shop.cast.pl, shown_seconds_ago=ago)
        assert by_session.post(path, body).status_code == status, ago


@long
def test_what_another_person_showed_in_the_same_browser_counts_for_nobody_else(
    shop: Shop, release: Release
) -> None:
    client = browser(shop.cast.team_lead, shown_seconds_ago=1)
    shown = client.session[AUTHENTICATION_METHODS_SESSION_KEY]
    client.force_login(shop.cast.pl)
    session = client.session
    session[AUTHENTICATION_METHODS_SESSION_KEY], session[WHOSE] = shown, str(shop.cast.team_lead.pk)
    session.save()
    assert approve(client, release).status_code == 403
