"""Refusals and faults as people read them: what, why, next, and nothing internal."""

import json

import pytest
from django.db import OperationalError, connection
from django.test import Client, RequestFactory

from portal.errors import Conflict
from portal.errors_view import error_page
from portal.people import queries
from portal.people.operations import deactivate_person
from tests.people import Cast, acting
from tests.portal.api import BASE, ApiClient


@pytest.fixture
def careless() -> Client:
    """A client that lets the portal answer its own faults."""
    return Client(raise_request_exception=False)


def test_a_page_that_is_not_there_offers_a_search(cast: Cast, client: Client) -> None:
    client.force_login(cast.author)
    answer = client.get("/no-such-page/")
    assert answer.status_code == 404
    assert 'role="search"' in answer.content.decode()


def test_a_page_that_is_not_there_says_why_and_what_to_do(cast: Cast, client: Client) -> None:
    client.force_login(cast.author)
    page = client.get("/no-such-page/", headers={"accept-language": "en"}).content.decode()
    assert "nothing that you may see" in page
    assert "<h1>" in page


def test_a_refusal_names_the_roles_that_may_and_who_holds_them(cast: Cast, client: Client) -> None:
    client.force_login(cast.outsider)
    answer = client.get("/audit/", headers={"accept-language": "en"})
    page = answer.content.decode()
    assert answer.status_code == 403
    assert "Team lead: Lead" in page
    assert "Auditor: Auditor" in page
    deactivate_person(cast.auditor.username, actor=acting(cast.administrator))
    assert (
        "Auditor: nobody holds it"
        in client.get("/audit/", headers={"accept-language": "en"}).content.decode()
    )


def test_a_press_that_came_too_late_leads_to_the_page_it_came_from(cast: Cast) -> None:
    request = RequestFactory().post("/x/", headers={"Referer": "http://testserver/services/a/b/?x=1"})
    request.user = cast.author
    assert 'href="/services/a/b/"' in error_page(request, Conflict()).content.decode()
    elsewhere = RequestFactory().post("/x/", headers={"Referer": "http://elsewhere.example/services/"})
    elsewhere.user = cast.author
    assert "elsewhere" not in error_page(elsewhere, Conflict()).content.decode()


def test_htmx_is_answered_with_the_fragment_alone(cast: Cast) -> None:
    request = RequestFactory().get("/", headers={"HX-Request": "true"})
    request.user = cast.author
    text = error_page(request, Conflict("It changed.")).content.decode()
    assert "It changed." in text
    assert "<html" not in text


def test_a_fault_of_ours_shows_a_number_and_nothing_internal(
    cast: Cast, careless: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_user: object) -> None:
        raise RuntimeError("canary-secret in a traceback")

    monkeypatch.setattr(queries, "roles_of", fail)
    careless.force_login(cast.author)
    answer = careless.get("/me/")
    assert answer.status_code == 500
    assert "canary" not in answer.content.decode()


def test_a_fault_of_the_api_is_a_problem_with_nothing_internal(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal.api import people  # noqa: PLC0415

    def fail(*_args: object, **_more: object) -> None:
        raise RuntimeError("canary-secret")

    client = ApiClient(cast.author)
    monkeypatch.setattr(people, "_people", fail)
    answer = client.get("/people")
    assert answer.status_code == 500
    assert "canary" not in answer.content.decode()
    assert json.loads(answer.content)["code"] == "error"


@pytest.mark.parametrize("path", ["/me/", BASE + "/me"])
def test_a_database_that_is_away_is_said_in_words(
    cast: Cast, careless: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    careless.force_login(cast.author)

    def away(*_args: object, **_more: object) -> None:
        raise OperationalError("connection refused at 10.0.0.7")

    with monkeypatch.context() as outage:
        outage.setattr(connection, "cursor", away)
        answer = careless.get(path)
    assert answer.status_code == 503
    assert "10.0.0.7" not in answer.content.decode()
