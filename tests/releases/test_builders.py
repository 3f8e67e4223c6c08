"""Who built what goes out: named by a person, or by the image itself, and kept from deciding on it."""

from typing import Any

import pytest
from django.test import Client

from portal.errors import Invalid
from portal.people.models import User
from portal.people.operations import change_person
from releases.models import Release
from tests.factories import FakeRegistry, Shop, make_release
from tests.people import BY_THE_PORTAL
from tests.portal.api import ApiClient
from tests.soak import long

pytestmark = pytest.mark.django_db


def compose(shop: Shop, **item: str) -> tuple[int, Any]:
    """Compose a release of one item over the API."""
    body = shop.data(items=[{"service": "shopping-service", "version": "2.8.0", **item}])
    answer = ApiClient(shop.cast.author).post("/releases", body)
    return answer.status_code, answer.json()


def submitted(shop: Shop, number: int) -> Release:
    """Submit it over the API."""
    assert ApiClient(shop.cast.author).post(f"/releases/{number}/submit").status_code == 200
    return Release.objects.get(pk=number)


def verdict(user: User, release: Release) -> str:
    """What the person hears who approves: the code of the refusal, or the release's state."""
    body = {"verdict": "approve", "content_digest": release.content_digest}
    answer = ApiClient(user).post(f"/releases/{release.number}/decisions", body).json()
    return str(answer.get("code") or answer["state"])


def review_page(shop: Shop, release: Release) -> str:
    """The review as an auditor reads it."""
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop.cast.auditor)
    return client.get(f"/releases/{release.number}/review/").content.decode()


@long
def test_who_is_named_as_builder_does_not_decide_and_the_row_climbs(shop: Shop) -> None:
    status, answer = compose(shop, built_by="pl")
    assert (status, answer["items"][0]["built_by"]) == (201, "pl")
    release = submitted(shop, answer["number"])
    assert verdict(shop.cast.pl, release) == "self_approval"
    assert "may not decide" in review_page(shop, release)
    assert verdict(shop.cast.team_lead, release) == "approved"


@long
def test_a_commits_address_is_matched_to_its_account(shop: Shop) -> None:
    change_person("pl", actor=BY_THE_PORTAL, email="pl@shop.example")
    _status, answer = compose(shop, built_by="PL@shop.example")
    assert verdict(shop.cast.pl, submitted(shop, answer["number"])) == "self_approval"


@long
@pytest.mark.parametrize("authors", ["pl", "somebody; Pl <pl@shop.example>", "Team, PL"])
def test_an_image_that_names_its_builder_bars_them_whomever_the_author_names(
    shop: Shop, registry: FakeRegistry, authors: str
) -> None:
    change_person("pl", actor=BY_THE_PORTAL, email="pl@shop.example")
    registry.authors = authors
    _status, answer = compose(shop, built_by="outsider")
    assert answer["items"][0]["image_authors"] == authors
    assert verdict(shop.cast.pl, submitted(shop, answer["number"])) == "self_approval"


def test_a_name_that_nobody_has_is_refused_where_it_stands(shop: Shop) -> None:
    status, answer = compose(shop, built_by="nobody-here")
    assert status == 422
    assert [entry["field"] for entry in answer["missing"]] == ["items.0.built_by"]


@long
def test_an_unknown_builder_is_said_to_be_unknown(shop: Shop) -> None:
    stranger = make_release(
        shop, items=[{"service": "auth-service", "version": "3", "built_by": "x@else.example"}]
    )
    page = review_page(shop, submitted(shop, stranger.number))
    assert "x@else.example" in page
    assert "has no account here" in page
    unsaid = review_page(shop, make_release(shop, at="in_review"))
    assert "unknown" in unsaid


@long
def test_another_builder_is_another_content(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    item = {"service": "shopping-service", "version": "2.8.0"}
    api = ApiClient(shop.cast.author)
    seen = {"If_Match": f'"{release.content_digest}"'}
    path = f"/releases/{release.number}"
    kept = api.send("PATCH", path, {"items": [item]}, **seen).json()
    assert (kept["state"], kept["content_digest"]) == ("approved", release.content_digest)
    changed = api.send("PATCH", path, {"items": [{**item, "built_by": "pl"}]}, **seen).json()
    assert changed["state"] == "draft"


@pytest.mark.parametrize("odd", ["\x00", "\ud800", "x" * 300])
def test_a_builder_that_no_row_can_hold_is_refused_beside_the_field(shop: Shop, odd: str) -> None:
    items = [{"service": "shopping-service", "version": "2.8.0", "built_by": odd}]
    with pytest.raises(Invalid) as refusal:
        make_release(shop, items=items)
    assert [fault["field"] for fault in refusal.value.missing] == ["items.0.built_by"]
