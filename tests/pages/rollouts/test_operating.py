"""The page from which a service is operated, and the draft that comes of it."""

from collections.abc import Iterator

import pytest
from django.test import Client
from django.utils import translation

from releases.models import Release
from tests.factories import Shop, runs
from tests.pages.rollouts.conftest import browser
from tests.soak import long

PLACE = "/services/shopping-service/shop-production/"


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def _something_runs(shop: Shop) -> None:
    runs(shop.shopping, shop.environment, "2.7.4")


def english(shop: Shop, name: str = "author") -> Client:
    user = getattr(shop.cast, name)
    user.language = "en"
    user.save(update_fields=["language"])
    return browser(user)


@long
def test_a_restart_becomes_a_draft_that_can_be_submitted(shop: Shop) -> None:
    client = english(shop)
    assert f"{PLACE}operate/restart/" in client.get(PLACE).content.decode()
    assert "cannot be rolled back" in client.get(f"{PLACE}operate/restart/").content.decode()
    answer = client.post(f"{PLACE}operate/restart/", {"once": "a"})
    release = Release.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/releases/{release.number}/edit/")
    page = client.get(answer["Location"]).content.decode()
    assert "Restart shopping-service" in page
    assert "Version 2.7.4 stays as it is." in page
    assert "open point" not in page
    assert client.post(f"/releases/{release.number}/submit/").status_code == 302
    for address in (f"/releases/{release.number}/", f"/releases/{release.number}/review/"):
        assert "Restart shopping-service" in client.get(address).content.decode()
    assert "Operation" in client.get(PLACE).content.decode()


def test_a_press_twice_makes_one_draft(shop: Shop) -> None:
    client = english(shop)
    for _press in range(2):
        client.post(f"{PLACE}operate/restart/", {"once": "a"})
    assert Release.objects.count() == 1


def test_what_is_typed_wrong_stands_beside_its_field(shop: Shop) -> None:
    client = english(shop)
    typed = {"once": "a", "container": "app", "limits_cpu": "1", "requests_cpu": "much"}
    answer = client.post(f"{PLACE}operate/set_resources/", typed)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "An amount such as 250m or 512Mi is expected." in page
    assert 'value="much"' in page
    assert client.post(f"{PLACE}operate/scale/", {"once": "b", "replicas": "x"}).status_code == 422
    assert Release.objects.count() == 0


@long
def test_the_parts_of_a_draft_are_saved_but_not_what_it_is(shop: Shop) -> None:
    client = english(shop)
    client.post(f"{PLACE}operate/scale/", {"once": "a", "replicas": "3"})
    release = Release.objects.get()
    typed = {"content_digest": release.content_digest, "target_at": "2030-01-01T10:00"}
    assert client.post(f"/releases/{release.number}/edit/when/", typed).status_code == 302
    release.refresh_from_db()
    assert (release.operation["replicas"], release.plan) == (3, None)
    assert release.target_at is not None
    assert client.post(f"/releases/{release.number}/edit/items/", typed).status_code == 404


@long
def test_only_who_may_compose_is_shown_operations(shop: Shop) -> None:
    for who in ("auditor", "outsider", "infra_senior"):
        client = english(shop, who)
        assert "operate/" not in client.get(PLACE).content.decode()
        assert client.post(f"{PLACE}operate/restart/", {"once": who}).status_code == 403
    assert Release.objects.count() == 0


@long
def test_what_cannot_be_done_here_is_not_found(shop: Shop) -> None:
    client = english(shop)
    for kind in ("run_job", "explode", "%00"):
        assert client.get(f"{PLACE}operate/{kind}/").status_code == 404
    assert client.get("/services/shopping-service/elsewhere/operate/restart/").status_code == 404
