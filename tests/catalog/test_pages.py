"""The catalog's pages show what was loaded to those who may see it."""

import json

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from releases.catalog.files import load_folder
from releases.catalog.schema import KINDS
from tests.catalog.conftest import LOADER, SMALL, Folder, load_examples
from tests.people import Cast, person
from tests.soak import long

pytestmark = pytest.mark.django_db

PAGES = [
    ("catalog:list", [], "portal-universe"),
    ("catalog:service", ["shopping-frontend"], "FEATURE_NEW_CART"),
    ("catalog:environment", ["portal-universe-production"], "auth-service"),
    ("catalog:plan", ["portal-universe-production"], "notification-service"),
    ("catalog:checklist", ["portal-universe-production"], "스테이징 시험"),
    ("catalog:policy", ["grades"], "선조치 후보고"),
]


@pytest.fixture
def reader() -> Client:
    load_examples("portal-universe")
    client = Client()
    client.force_login(person("reader"))
    return client


@long
def test_a_page_shows_what_was_loaded(reader: Client) -> None:
    for page, arguments, shown in PAGES:
        answer = reader.get(reverse(page, args=arguments))
        assert answer.status_code == 200, page
        assert shown in answer.content.decode(), page


@long
def test_a_service_says_where_each_of_its_pods_is_asked_for_its_health(reader: Client) -> None:
    asked = {
        name: reader.get(
            reverse("catalog:service", args=[name]), headers={"accept-language": "en"}
        ).content.decode()
        for name in ("auth-service", "shopping-frontend")
    }
    assert {name: "· each pod" in page for name, page in asked.items()} == {
        "auth-service": True,
        "shopping-frontend": False,
    }


def test_a_page_asks_for_a_sign_in() -> None:
    for page, arguments, _shown in PAGES:
        assert Client().get(reverse(page, args=arguments)).status_code == 302, page


@long
def test_a_page_shows_the_document_as_it_was_written(reader: Client) -> None:
    page = reader.get(reverse("catalog:environment", args=["portal-universe-production"])).content.decode()
    assert "# A version tag asks for a release" in page


@long
def test_what_is_not_there_is_not_found() -> None:
    client = Client()
    client.force_login(person("reader"))
    for page in ("service", "environment", "plan", "checklist", "policy"):
        assert client.get(reverse(f"catalog:{page}", args=["nothing"])).status_code == 404, page


@long
def test_the_list_takes_as_many_queries_for_many_services_as_for_few(reader: Client, folder: Folder) -> None:
    address = reverse("catalog:list")
    reader.get(address)
    with CaptureQueriesContext(connection) as few:
        reader.get(address)
    load_folder(folder(), actor=LOADER)
    with CaptureQueriesContext(connection) as many:
        reader.get(address)
    assert len(many) == len(few)


@long
def test_a_private_environment_is_hidden_from_those_without_a_role_there(folder: Folder, cast: Cast) -> None:
    load_folder(
        folder(SMALL.replace("namespace: shop}", "namespace: shop, visibility: private}")), actor=LOADER
    )
    expected = {cast.outsider: 404, cast.team_lead: 200, cast.auditor: 200}
    for user, status in expected.items():
        client = Client()
        client.force_login(user)
        for page, name in (
            ("environment", "shop-production"),
            ("plan", "shop-production"),
            ("service", "web"),
        ):
            answer = client.get(reverse(f"catalog:{page}", args=[name]))
            assert answer.status_code == status, (user, page)
        assert ("order-api" in client.get(reverse("catalog:list")).content.decode()) == (status == 200)


def test_the_schemas_are_published() -> None:
    client = Client()
    client.force_login(person("reader"))
    for kind in (*map(str.lower, KINDS), "common"):
        answer = client.get(reverse("catalog:schema", args=[kind]))
        assert json.loads(answer.content)["$id"] == f"{kind}.json"
    assert client.get("/catalog/schema/secret.json").status_code == 404
