"""Incidents through the API: the same operations, the same refusals."""

from datetime import timedelta
from typing import Any

from django.test import Client

from portal import clock
from releases.incidents import operations
from releases.incidents.models import Incident
from releases.rollouts.models import Rollout
from tests.factories import Shop, make_release
from tests.incidents.conftest import open_here
from tests.people import acting
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
    seen = {"mark": api.get(here).json()["mark"]}
    assert api.send("PATCH", here, {"title": "x"}).status_code == 422
    corrected = api.send("PATCH", here, {**seen, "began_at": began.isoformat()}).json()
    assert (corrected["title"], corrected["recovery"]["seconds"] >= 7200) == (incident.title, True)
    now = {"mark": corrected["mark"]}
    assert api.send("PATCH", here, {**now, "title": " "}).json()["code"] == "invalid"
    assert api.send("PATCH", here, {**now, "began_at": "2020-01-01T00:00:00Z"}).status_code == 422
    assert ApiClient(shop.cast.outsider).send("PATCH", here, {**now, "title": "x"}).status_code == 403
    late = api.send("PATCH", here, {**seen, "title": "Mine"}, accept_language="en")
    assert (late.status_code, late.json()["code"]) == (409, "stale_digest")
    assert incident.title in late.json()["detail"]
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


def test_a_closed_incident_is_a_recovery_and_what_was_taken_back_meanwhile_no_other(shop: Shop) -> None:
    shop.shopping.spec["recovery"] = {"rtoMinutes": 60}
    shop.shopping.save()
    went_back(shop, minutes_ago=400, took=10)
    incident = open_here(shop, began_at=clock.now() - timedelta(minutes=90))
    went_back(shop, minutes_ago=80, took=5)
    assert recovery(shop)["recoveries_by"] == {"rollback": 2}
    operations.close_incident(incident.number, actor=acting(shop.cast.pl), cause="A full disk")
    found = recovery(shop)
    assert found["rto_longest_from"] == {"kind": "incident", "number": incident.number}
    assert 5_400 <= found["rto_longest_seconds"] < 5_500
    assert (found["rto_met"], found["recoveries"]) == (False, 2)
    assert found["recoveries_by"] == {"incident": 1, "rollback": 1}
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop.cast.author)
    page = client.get("/services/shopping-service/shop-production/").content.decode()
    assert f'<a href="/incidents/{incident.number}/">incident {incident.number}</a>' in page
    assert "1 incident, 1 rollback" in page


def recovery(shop: Shop) -> dict[str, Any]:
    [found] = ApiClient(shop.cast.author).get("/environments/shop-production/recovery").json()["items"]
    assert found["service"] == shop.shopping.name
    return dict(found)


def went_back(shop: Shop, *, minutes_ago: int, took: int) -> None:
    """Let a rollout have failed so long ago, and have taken so many minutes back."""
    failed_at = clock.now() - timedelta(minutes=minutes_ago)
    rollout = make_release(shop).rollouts.create(
        environment=shop.environment, queued_at=failed_at, state="rolled_back"
    )
    Rollout.objects.filter(pk=rollout.pk).update(
        failed_at=failed_at, ended_at=failed_at + timedelta(minutes=took)
    )
