"""Incidents through the API: the same operations, the same refusals."""

from datetime import timedelta

from portal import clock
from releases.incidents.models import Incident
from tests.factories import Shop, make_release
from tests.portal.api import ApiClient
from tests.soak import long

PLACE = {"service": "shopping-service", "environment": "shop-production"}


@long
def test_an_incident_is_opened_written_to_and_closed(shop: Shop) -> None:
    api = ApiClient(shop.cast.author)
    began = (clock.now() - timedelta(minutes=3)).isoformat()
    opened = api.post("/incidents", {**PLACE, "title": "Payments fail", "began_at": began})
    number = opened.json()["number"]
    assert (opened.status_code, opened.json()["state"]) == (201, "ongoing")
    assert api.post("/incidents", PLACE).status_code == 200
    release = make_release(shop)
    here = f"/incidents/{number}"
    assert api.post(f"{here}/notes", {"text": "Disk full"}).status_code == 201
    assert api.post(f"{here}/notices", {"text": "On it"}).status_code == 201
    linked = api.post(f"{here}/releases", {"release": release.number}).json()
    assert linked["releases"] == [release.number]
    closed = api.post(f"{here}/close", {"cause": "Logs"}).json()
    assert (closed["state"], closed["cause"], closed["closed_by"]) == ("closed", "Logs", "author")
    happened = [each["what"] for each in api.get(here).json()["timeline"]]
    assert happened == ["closed", "linked", "told", "note", "opened", "began"]
    assert closed["recovery"]["seconds"] >= 180
    late = api.post(f"{here}/notes", {"text": "x"})
    assert (late.status_code, late.json()["code"]) == (409, "wrong_state")


def test_an_incident_is_corrected_and_a_link_taken_back(shop: Shop, incident: Incident) -> None:
    api, here = ApiClient(shop.cast.author), f"/incidents/{incident.number}"
    began = clock.now() - timedelta(hours=2)
    corrected = api.send("PATCH", here, {"began_at": began.isoformat()}).json()
    assert (corrected["title"], corrected["recovery"]["seconds"] >= 7200) == (incident.title, True)
    assert api.send("PATCH", here, {"title": " "}).json()["code"] == "invalid"
    assert api.send("PATCH", here, {"began_at": "2020-01-01T00:00:00Z"}).status_code == 422
    assert ApiClient(shop.cast.outsider).send("PATCH", here, {"title": "x"}).status_code == 403
    release = make_release(shop)
    api.post(f"{here}/releases", {"release": release.number})
    assert api.send("DELETE", f"{here}/releases/{release.number}").json()["releases"] == []
    assert api.send("DELETE", f"{here}/releases/{release.number}").status_code == 404


def test_the_list_tells_ongoing_from_closed(shop: Shop, incident: Incident) -> None:
    api = ApiClient(shop.cast.auditor)
    assert [each["number"] for each in api.get("/incidents").json()["items"]] == [incident.number]
    for query in ("state=closed", "service=auth-service", "environment=elsewhere"):
        assert api.get(f"/incidents?{query}").json()["items"] == []


def test_what_is_missing_hidden_or_not_theirs_is_refused(shop: Shop, incident: Incident) -> None:
    api = ApiClient(shop.cast.author)
    missing = api.post("/incidents", {**PLACE, "service": "nothing"})
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert api.post("/incidents/99999/notes", {"text": ""}).status_code == 404
    assert api.post(f"/incidents/{incident.number}/notes", {"text": " "}).json()["code"] == "invalid"
    others = ApiClient(shop.cast.outsider)
    refused = others.post(f"/incidents/{incident.number}/notes", {"text": "x"})
    assert (refused.status_code, refused.json()["code"]) == (403, "not_entitled")
