"""Delegations by the API and on the pages."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal import clock
from portal.people.models import Delegation, User
from tests.delegating import WEEK, give
from tests.people import Cast
from tests.portal.api import ApiClient
from tests.soak import long

PL = ("pl", "service:shopping-service")


def asked(**changes: Any) -> dict[str, Any]:
    """What a PL sends to let the outsider decide for a week."""
    ends = (clock.now() + WEEK).isoformat()
    return {"from": "pl", "to": "outsider", "role": PL[0], "scope": PL[1], "ends": ends, **changes}


@long
def test_a_giver_gives_reads_and_ends_by_the_api(cast: Cast) -> None:
    client = ApiClient(cast.pl)
    answer = client.post("/delegations", asked())
    given = answer.json()
    assert answer.status_code == 201
    assert (given["from"], given["to"], given["state"], given["made_by"]) == (
        "pl",
        "outsider",
        "current",
        "pl",
    )
    for user, count in ((cast.pl, 1), (cast.outsider, 1), (cast.qa, 0), (cast.auditor, 1)):
        assert len(ApiClient(user).get("/delegations?open=true").json()["items"]) == count
    assert ApiClient(cast.qa).send("DELETE", f"/delegations/{given['id']}").status_code == 404
    assert ApiClient(cast.outsider).send("DELETE", f"/delegations/{given['id']}").status_code == 403
    ended = client.send("DELETE", f"/delegations/{given['id']}").json()
    assert (ended["state"], ended["ended_by"]) == ("ended", "pl")
    assert client.send("DELETE", f"/delegations/{given['id']}").status_code == 409
    assert client.get("/delegations?open=true").json()["items"] == []
    assert len(client.get("/delegations?open=false").json()["items"]) == 1


def test_the_api_names_every_wrong_field_and_knows_no_other(cast: Cast) -> None:
    client = ApiClient(cast.pl)
    ends = (clock.now() + timedelta(days=100)).isoformat()
    answer = client.post("/delegations", asked(role="director", ends=ends))
    assert answer.status_code == 422
    assert {fault["field"] for fault in answer.json()["missing"]} == {"role", "ends"}
    assert client.post("/delegations", asked(made_by="administrator")).status_code in {400, 422}
    assert ApiClient(cast.qa).post("/delegations", asked()).status_code == 403
    assert not Delegation.objects.exists()


def test_an_administrator_gives_for_somebody_else_by_the_api(cast: Cast) -> None:
    starts = (clock.now() + timedelta(days=1)).isoformat()
    given = ApiClient(cast.administrator).post("/delegations", asked(starts=starts)).json()
    assert (given["from"], given["made_by"], given["state"]) == ("pl", "administrator", "planned")


def browse(user: User) -> Client:
    """A browser in English in which the person is signed in."""
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def typed(**changes: str) -> dict[str, str]:
    """What a PL types."""
    ends = timezone.localtime(clock.now() + WEEK).strftime("%Y-%m-%dT%H:%M")
    return {"taker": "outsider", "held": " ".join(PL), "starts_at": "", "ends_at": ends, **changes}


@long
def test_a_person_gives_and_ends_on_their_own_page(cast: Cast) -> None:
    client = browse(cast.pl)
    assert "Nobody decides for you." in client.get("/me/delegations/").content.decode()
    assert client.post("/me/delegations/", typed()).status_code == 302
    given = Delegation.objects.get()
    assert (given.giver, given.taker, given.made_by) == (cast.pl, cast.outsider, cast.pl)
    assert "Outsider for Pl" in client.get("/me/delegations/").content.decode()
    received = browse(cast.outsider).get("/me/delegations/").content.decode()
    assert "Outsider for Pl" in received
    assert f"/me/delegations/{given.pk}/end/" not in received
    asks = client.get(f"/me/delegations/{given.pk}/end/")
    given.refresh_from_db()
    assert (asks.status_code, given.ended_at) == (200, None)
    assert client.post(f"/me/delegations/{given.pk}/end/", {"reason": "back"}).status_code == 302
    given.refresh_from_db()
    assert given.ended_by == cast.pl
    assert client.post(f"/me/delegations/{given.pk}/end/").status_code == 409


@long
def test_the_page_says_what_is_wrong_and_keeps_what_was_typed(cast: Cast) -> None:
    client = browse(cast.pl)
    late = timezone.localtime(clock.now() + timedelta(days=100)).strftime("%Y-%m-%dT%H:%M")
    answer = client.post("/me/delegations/", typed(ends_at=late))
    page = answer.content.decode()
    assert (answer.status_code, "A delegation lasts 90 days at most." in page, late in page) == (
        422,
        True,
        True,
    )
    give(cast.pl, cast.outsider, *PL)
    answer = client.post("/me/delegations/", typed())
    assert (answer.status_code, "already" in answer.content.decode()) == (409, True)
    assert client.post("/me/delegations/", typed(taker="pl")).status_code == 422


@pytest.mark.parametrize("who", ["qa", "outsider"])
def test_nobody_ends_what_is_not_theirs_on_a_page(cast: Cast, who: str) -> None:
    given = give(cast.pl, cast.outsider, *PL)
    answer = browse(getattr(cast, who)).post(f"/me/delegations/{given.pk}/end/")
    assert answer.status_code == (404 if who == "qa" else 403)
    given.refresh_from_db()
    assert given.ended_at is None


@long
def test_an_administrator_sees_everybody_and_gives_for_who_is_away(cast: Cast) -> None:
    assert browse(cast.pl).get("/settings/delegations/").status_code == 403
    assert "<select" not in browse(cast.auditor).get("/settings/delegations/?giver=pl").content.decode()
    client = browse(cast.administrator)
    assert "Nobody has given a delegation yet." in client.get("/settings/delegations/").content.decode()
    here = "/settings/delegations/?giver=pl"
    assert 'name="taker"' in client.get(here).content.decode()
    assert client.post(here, typed()).status_code == 302
    given = Delegation.objects.get()
    assert (given.giver, given.made_by) == (cast.pl, cast.administrator)
    assert client.post(f"/me/delegations/{given.pk}/end/").headers["Location"] == "/settings/delegations/"


@long
def test_who_holds_nothing_is_told_so(cast: Cast) -> None:
    page = browse(cast.outsider).get("/me/delegations/").content.decode()
    assert "You hold no role that could be given on." in page
    assert browse(cast.outsider).post("/me/delegations/", typed()).status_code == 422
