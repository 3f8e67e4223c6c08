"""Unapproved changes on the pages and through the API: shown with what differs, settled by whoever may."""

import pytest
from django.test import Client

from portal.people.models import User
from releases.rollouts.models import Finding
from tests.factories import Shop, digest_for, find_change
from tests.portal.api import ApiClient
from tests.soak import long

OLD, NEW = digest_for("shopping-service", "2.7.4"), digest_for("shopping-service", "2.8.0")


@pytest.fixture
def finding(shop: Shop) -> Finding:
    """Somebody changed the image of the shopping service."""
    return find_change(shop.shopping, shop.environment)


def browser(user: User) -> Client:
    """A browser of somebody who reads English."""
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


@long
def test_the_board_leads_to_what_differs_and_who_wrote_it(shop: Shop, finding: Finding) -> None:
    client = browser(shop.cast.author)
    board = client.get("/board/").content.decode()
    assert f'href="/findings/{finding.pk}/"' in board
    assert "another image" in board
    page = client.get(f"/findings/{finding.pk}/").content.decode()
    for text in ("Deployment/shopping-service", OLD, NEW, "kubectl-set", "Lead", "Put back"):
        assert text in page
    assert "Adopt what runs" not in page, "who may not is not offered it"
    listed = client.get("/findings/").content.decode()
    assert "shopping-service" in listed
    assert (
        f'href="/findings/{finding.pk}/"'
        in client.get("/services/shopping-service/shop-production/").content.decode()
    )


@long
def test_it_waits_in_the_inbox_of_the_team_lead_until_it_is_settled(shop: Shop, finding: Finding) -> None:
    client = browser(shop.cast.team_lead)
    inbox = client.get("/").content.decode()
    assert f'href="/findings/{finding.pk}/"' in inbox
    assert 'data-waiting="1"' in inbox
    panel = client.get(f"/findings/{finding.pk}/explain/").content.decode()
    assert finding.mark in panel
    empty = client.post(f"/findings/{finding.pk}/explain/", {"mark": finding.mark, "reason": ""})
    assert empty.status_code == 422
    answer = client.post(f"/findings/{finding.pk}/explain/", {"mark": finding.mark, "reason": "Incident 12"})
    assert answer["Location"] == f"/findings/{finding.pk}/"
    assert b"Incident 12" in client.get(f"/findings/{finding.pk}/").content
    assert 'data-waiting="0"' in client.get("/").content.decode()
    assert "Explained" in client.get("/board/").content.decode()


def test_what_changed_meanwhile_is_shown_before_it_is_adopted(shop: Shop, finding: Finding) -> None:
    Finding.objects.update(mark="0" * 64)
    client = browser(shop.cast.team_lead)
    answer = client.post(f"/findings/{finding.pk}/adopt/", {"mark": finding.mark, "reason": "It is right"})
    assert answer.status_code == 409
    assert "0" * 64 in answer.content.decode()
    assert "It is right" in answer.content.decode()


@long
def test_putting_back_leads_to_the_draft(shop: Shop, finding: Finding) -> None:
    client = browser(shop.cast.author)
    answer = client.post(f"/findings/{finding.pk}/put-back/", {"once": "a"})
    again = client.post(f"/findings/{finding.pk}/put-back/", {"once": "a"})
    finding.refresh_from_db()
    assert answer["Location"] == again["Location"] == f"/releases/{finding.put_back_by_id}/edit/"
    assert f"/releases/{finding.put_back_by_id}/" in client.get(f"/findings/{finding.pk}/").content.decode()


def test_no_finding_is_a_good_sight(shop: Shop) -> None:
    assert (
        b"Everything that runs is what was approved." in browser(shop.cast.author).get("/findings/").content
    )


@long
def test_the_api_says_and_does_the_same(shop: Shop, finding: Finding) -> None:
    api = ApiClient(shop.cast.team_lead)
    (listed,) = api.get("/findings?state=open").json()["items"]
    assert (listed["service"], listed["differences"][0]["manager"]) == ("shopping-service", "kubectl-set")
    (cell,) = [each for each in api.get("/board").json()["items"] if each["finding"]]
    assert cell["drift"]["found"] == [NEW]
    stale = api.post(f"/findings/{finding.pk}/adopt", {"reason": "x", "mark": "0"})
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_digest")
    others = ApiClient(shop.cast.outsider).post(
        f"/findings/{finding.pk}/adopt", {"reason": "x", "mark": finding.mark}
    )
    assert (others.status_code, others.json()["missing"][0]["role"]) == (403, "team_lead")
    adopted = api.post(f"/findings/{finding.pk}/adopt", {"reason": "x", "mark": finding.mark}).json()
    assert (adopted["state"], adopted["settled_by"]) == ("adopted", "lead")
    assert api.get("/findings").json()["items"] == []
    assert len(api.get("/findings?state=over").json()["items"]) == 1


def test_it_waits_in_the_inbox_of_the_api_for_those_who_settle_it(shop: Shop, finding: Finding) -> None:
    [row] = ApiClient(shop.cast.team_lead).get("/inbox").json()["items"]
    assert (row["kind"], row["finding"], row["release"], row["state"]) == (
        "finding",
        finding.pk,
        None,
        "open",
    )
    assert row["title"] == "shopping-service: 이미지 다름"
    assert ApiClient(shop.cast.author).get("/inbox").json()["items"] == []
