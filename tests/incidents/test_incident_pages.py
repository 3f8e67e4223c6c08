"""Incidents on the pages: opened with one press, one page with everything, and drafts that name it."""

from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils import timezone, translation

from portal import clock
from portal.errors import TemporaryError
from portal.outbox.models import Message
from portal.people.models import User
from releases import operations as release_operations
from releases.catalog import rights
from releases.catalog.models import Environment
from releases.incidents import operations, queries, views
from releases.incidents.models import Incident
from releases.incidents.queries import link_of
from releases.models import Release
from releases.open_incidents import open_incidents
from releases.rollouts.looking import Look, PodSeen
from releases.rollouts.models import Rollout
from releases.rollouts.pod_logs import Tail
from tests.factories import Shop, approve_all, make_environment, make_release, roll_out, runs
from tests.incidents.conftest import open_here
from tests.people import acting
from tests.portal.api import ApiClient
from tests.soak import long

SERVICE = "/services/shopping-service/shop-production/"
OPEN = "/incidents/open/shopping-service/shop-production/"


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


def browser(user: User) -> Client:
    """A browser of somebody who reads English."""
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def degraded(shop: Shop) -> None:
    """Let the watcher have seen that it does not run as it should."""
    row = runs(shop.shopping, shop.environment, "2.7.4")
    row.seen |= {"health": "degraded", "text": "0/2 ready", "ready": 0, "wanted": 2}
    row.save()


def text_of(client: Client, address: str) -> str:
    """The page, as a person reads it."""
    answer = client.get(address)
    assert answer.status_code == 200, address
    return unescape(answer.content.decode())


@long
def test_a_bad_cell_of_the_board_opens_one_with_one_press_and_leads_to_it_then(shop: Shop) -> None:
    degraded(shop)
    client = browser(shop.cast.author)
    assert f'formaction="{OPEN}"' in text_of(client, "/board/")
    answer = client.post(OPEN)
    incident = Incident.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/incidents/{incident.number}/")
    assert client.post(OPEN)["Location"] == answer["Location"]
    for address in ("/board/", SERVICE, "/incidents/"):
        page = text_of(client, address)
        assert f"/incidents/{incident.number}/" in page
        assert OPEN not in page
    assert OPEN not in text_of(browser(shop.cast.outsider), SERVICE)


def test_who_may_not_open_one_is_refused(shop: Shop) -> None:
    assert browser(shop.cast.outsider).post(OPEN).status_code == 403
    assert browser(shop.cast.author).post("/incidents/open/nothing/shop-production/").status_code == 404
    assert not Incident.objects.exists()


@long
def test_a_failed_rollout_opens_one_that_knows_when_it_failed(shop: Shop) -> None:
    release = make_release(shop, at="rolling_out")
    rollout = release.rollouts.get()
    failed_at = clock.now() - timedelta(minutes=5)
    Rollout.objects.filter(pk=rollout.pk).update(state="failed", failed_at=failed_at)
    rollout.steps.create(
        key="a", kind="wait_rollout", service=shop.shopping, state="failed", failure={"code": "x"}
    )
    client = browser(shop.cast.author)
    page = text_of(client, f"/rollouts/{rollout.pk}/")
    assert f'action="{OPEN}"' in page
    assert f'name="rollout" value="{rollout.pk}"' in page
    client.post(OPEN, {"rollout": str(rollout.pk)})
    assert Incident.objects.get().began_at == failed_at


def failed_as_a_whole(shop: Shop, *services: str) -> Rollout:
    """A rollout of these services whose failed step belongs to none of them."""
    items = [{"service": service, "version": "2.8.0"} for service in services]
    waves = [{"title": "All", "services": list(services)}]
    shop.plan.spec = {"expectedMinutes": 30, "waves": waves}
    shop.plan.save()
    rollout = make_release(shop, at="rolling_out", items=items).rollouts.get()
    Rollout.objects.filter(pk=rollout.pk).update(state="failed", failed_at=clock.now())
    rollout.steps.create(key="a", kind="http_check", state="failed", failure={"code": "x"})
    return rollout


@long
def test_a_rollout_that_failed_as_a_whole_asks_which_service_is_in_trouble(shop: Shop) -> None:
    rollout = failed_as_a_whole(shop, "shopping-service", "payment-service")
    client, here = browser(shop.cast.author), f"/incidents/open/{rollout.pk}/"
    assert f'href="{here}"' in text_of(client, f"/rollouts/{rollout.pk}/")
    assert client.post(here, {"service": ""}).status_code == 422
    assert client.post(here, {"service": "auth-service"}).status_code == 422
    answer = client.post(here, {"service": "payment-service"})
    incident = Incident.objects.get()
    assert answer["Location"] == f"/incidents/{incident.number}/"
    assert (incident.service, incident.environment) == (shop.payment, shop.environment)
    assert [each.release_id for each in incident.entries.all()] == [rollout.release_id]
    assert f"payment-service (incident {incident.number} is open)" in text_of(client, here)
    assert f'href="/incidents/{incident.number}/"' in text_of(client, f"/rollouts/{rollout.pk}/")
    assert client.post(here, {"service": "*"})["Location"] == "/incidents/"
    assert set(Incident.objects.values_list("service__name", flat=True)) == {
        "payment-service",
        "shopping-service",
    }
    assert here not in text_of(client, f"/rollouts/{rollout.pk}/"), "each of them has its incident"


@long
def test_a_rollout_of_one_service_that_failed_as_a_whole_opens_one_with_one_press(shop: Shop) -> None:
    rollout = failed_as_a_whole(shop, "shopping-service")
    page = text_of(browser(shop.cast.author), f"/rollouts/{rollout.pk}/")
    assert f'action="{OPEN}"' in page
    assert "/incidents/open/" not in text_of(browser(shop.cast.outsider), f"/rollouts/{rollout.pk}/")


@long
def test_the_page_says_what_went_out_how_it_stands_and_what_can_be_done(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    degraded(shop)
    shop.shopping.spec["recovery"] = {"rtoMinutes": 240}
    shop.shopping.save()
    release = make_release(shop, at="awaiting_signoff")
    Rollout.objects.update(started_at=clock.now())
    pods = [pod("well", "healthy"), pod("ill", "degraded")]
    monkeypatch.setattr(views, "look", lambda *_of: Look(pods=tuple(pods)))
    log = Tail(pod="ill", container="app", containers=("app",), previous=False, lines=("disk full",))
    monkeypatch.setattr(
        views, "tail", lambda _service, _env, asked, reader: log if asked.pod == "ill" else None
    )
    incident = open_here(shop, began_at=clock.now() - timedelta(minutes=32))
    page = text_of(browser(shop.cast.author), f"/incidents/{incident.number}/")
    for words in ("0/2 ready", "32 min", "4 h", "3 h 2", f"#{release.number} ", "disk full", "Rollout began"):
        assert words in page, words
    for kind in ("note", "tell", "link", "close"):
        assert f"/incidents/{incident.number}/{kind}/" in page
    assert f"/rollouts/{release.rollouts.get().pk}/rollback/" in page
    assert "operate/restart/?incident_link=" in page


@long
def test_the_way_back_is_the_releases_after_a_restart_as_well(shop: Shop) -> None:
    degraded(shop)
    went_out = make_release(shop, at="awaiting_signoff").rollouts.get()
    actor = acting(shop.cast.author)
    restart = release_operations.create_operation(
        "shopping-service", "shop-production", {"kind": "restart"}, actor=actor
    )
    approve_all(release_operations.submit_release(restart.pk, actor=actor))
    roll_out(restart, shop)
    Rollout.objects.filter(release=restart).update(state="succeeded")

    page = text_of(browser(shop.cast.author), f"/incidents/{open_here(shop).number}/")

    assert f"/rollouts/{went_out.pk}/rollback/" in page, "of the restart there is nothing to take back"


def pod(name: str, health: str) -> PodSeen:
    """A pod of the service."""
    return PodSeen(
        name=name,
        workload="shopping-service",
        state="Running",
        health=health,
        ready=0,
        wanted=1,
        containers=("app",),
        restarts=3,
        created=None,
    )


def test_the_page_stands_though_the_cluster_is_away(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    degraded(shop)
    monkeypatch.setattr(views, "look", lambda *_of: Look(error="connection refused"))
    page = text_of(browser(shop.cast.auditor), f"/incidents/{open_here(shop).number}/")
    assert "The cluster does not answer." in page
    assert "0/2 ready" in page
    assert "/tell/" not in page, "who may not act is offered nothing"
    assert "Restart" not in page


def test_a_log_that_cannot_be_read_says_why(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_of: object, **_more: object) -> Tail:
        raise TemporaryError("The node is gone.")

    monkeypatch.setattr(views, "look", lambda *_of: Look(pods=(pod("ill", "degraded"),)))
    monkeypatch.setattr(views, "tail", away)
    assert "The node is gone." in text_of(browser(shop.cast.author), f"/incidents/{open_here(shop).number}/")


@long
def test_it_is_noted_told_and_closed_on_its_page(shop: Shop, incident: Incident) -> None:
    client, here = browser(shop.cast.author), f"/incidents/{incident.number}/"
    panel = text_of(client, f"{here}tell/")
    assert incident.title in panel.partition("<textarea")[2]
    assert "3 people" in panel
    for kind, typed in (
        ("note", {"text": "Disk full"}),
        ("tell", {"text": "On it"}),
        ("close", {"cause": "Logs"}),
    ):
        for _press in range(2):
            answer = client.post(f"{here}{kind}/", {"once": kind, **typed})
            assert (answer.status_code, answer["Location"]) == (302, here)
    assert incident.entries.count() == 2
    assert Message.objects.filter(key__startswith="incident.").count() == 3
    page = text_of(client, here)
    for words in ("Disk full", "On it", "Logs", "Closed", "3 people"):
        assert words in page
    assert f"{here}note/" not in page
    assert incident.title in text_of(client, "/incidents/?view=closed")
    assert "No incident is open." in text_of(client, "/incidents/")


def test_a_press_at_which_the_portal_itself_fails_can_be_made_again(
    shop: Shop, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, here = browser(shop.cast.author), f"/incidents/{incident.number}/"
    client.raise_request_exception = False
    sent = {"once": "a", "text": "Disk full"}

    def fault(*_given: object, **_more: object) -> None:
        raise KeyError("a fault of our own")

    with monkeypatch.context() as patched:
        patched.setitem(views.ACTS, "note", fault)
        assert client.post(f"{here}note/", sent).status_code == 500
    assert client.post(f"{here}note/", sent).status_code == 302
    assert incident.entries.get().text == "Disk full"


def test_what_is_wrong_stands_beside_its_field_and_the_text_stays(shop: Shop, incident: Incident) -> None:
    client, here = browser(shop.cast.author), f"/incidents/{incident.number}/"
    assert client.post(f"{here}note/", {"text": " "}).status_code == 422
    answer = client.post(f"{here}link/", {"release": "77777"})
    assert answer.status_code == 422
    assert 'value="77777"' in answer.content.decode()
    assert client.get(f"{here}explode/").status_code == 404
    assert client.get("/incidents/999/").status_code == 404


@long
def test_an_urgent_release_is_drafted_as_grade_e_and_names_the_incident(
    shop: Shop, incident: Incident
) -> None:
    client, here = browser(shop.cast.author), f"/incidents/{incident.number}/"
    page = text_of(client, here)
    address = page.partition('id="incident-urgent" href="')[2].partition('"')[0]
    form = text_of(client, address)
    assert f'name="incident_link" value="{link_of(incident)}"' in form
    typed = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert typed["service"] == "shopping-service"
    sent = {**typed, "other-shopping-service": "2.8.1", "once": "a"}
    assert client.post("/releases/new/", sent).status_code == 302
    release = Release.objects.get()
    assert (release.grade, release.incident) == (
        "E",
        {"link": link_of(incident), "reason": incident.title},
    )
    assert client.post(f"/releases/{release.number}/submit/").status_code == 302
    assert f"#{release.number} " in text_of(client, here)


@long
def test_a_restart_of_grade_e_goes_its_way_through_the_pages(shop: Shop, incident: Incident) -> None:
    runs(shop.shopping, shop.environment, "2.7.4")
    client = browser(shop.cast.author)
    address = f"{SERVICE}operate/restart/"
    named = {"incident_link": link_of(incident), "incident_reason": incident.title}
    assert incident.title in text_of(
        client, f"{address}?incident_link={link_of(incident)}&incident_reason={incident.title}"
    )
    assert client.post(address, {"once": "a", **named}).status_code == 302
    release = Release.objects.get()
    assert release.incident is not None
    assert (release.operation["kind"], release.incident["link"]) == ("restart", link_of(incident))
    assert release.grade != "E", "the rules grade it until the author chooses"
    typed = {"content_digest": release.content_digest, "grade": "E", **named}
    assert client.post(f"/releases/{release.number}/edit/grade/", typed).status_code == 302
    assert client.post(f"/releases/{release.number}/submit/").status_code == 302
    assert client.post(f"/releases/{release.number}/start/").status_code == 302
    release.refresh_from_db()
    assert (release.grade, release.state) == ("E", "rolling_out")
    assert [step.kind for step in release.rollouts.get().steps.all() if step.kind == "restart"]


def test_the_page_of_a_service_shows_its_recovery_beside_the_aim(shop: Shop) -> None:
    client = browser(shop.cast.outsider)
    assert "Recovery: aims" not in text_of(client, SERVICE)
    shop.shopping.spec["recovery"] = {"rtoMinutes": 240, "rpoMinutes": 60}
    shop.shopping.save()
    page = text_of(client, SERVICE).partition("Recovery: aims")[2]
    for words in ("4 h", "1 h", "everything: there is no backup"):
        assert words in page


@long
def test_it_waits_in_the_inbox_of_those_who_release_the_service_until_it_is_closed(
    shop: Shop, incident: Incident
) -> None:
    client, api = browser(shop.cast.pl), ApiClient(shop.cast.pl)
    inbox = text_of(client, "/")
    assert f"/incidents/{incident.number}/" in inbox
    assert 'data-waiting="1" data-trouble="1"' in text_of(client, "/inbox/part/")
    assert "(1)" in text_of(client, "/board/").partition("<title>")[2].partition("</title>")[0]
    [row] = api.get("/inbox").json()["items"]
    assert (row["kind"], row["incident"], row["state"]) == ("incident", incident.number, "ongoing")
    assert "data-row" not in text_of(browser(shop.cast.infra_senior), "/")
    client.post(f"/incidents/{incident.number}/close/", {"cause": "Logs"})
    assert 'data-waiting="0" data-trouble="0"' in text_of(client, "/inbox/part/")
    assert api.get("/inbox").json()["items"] == []


def grade_part(release: Release, **typed: str) -> dict[str, str]:
    """What the part with the grade sends."""
    return {"content_digest": release.content_digest, "grade": "", "grade_reason": "", **typed}


@long
def test_a_release_is_composed_for_an_open_incident_and_each_page_leads_to_the_other(
    shop: Shop, incident: Incident
) -> None:
    client, release = browser(shop.cast.author), make_release(shop)
    edit, save = (f"/releases/{release.number}/{part}/" for part in ("edit", "edit/grade"))
    link = link_of(incident)
    assert f'<option value="{link}">{incident.number} · shopping-service' in text_of(client, edit)
    typed = grade_part(release, incident_open=link, incident_link="", incident_reason="")
    assert client.post(save, typed).status_code == 302
    release.refresh_from_db()
    assert release.incident == {"link": link, "reason": incident.title}
    assert release.grade != "E", "whatever its grade"
    assert f'<option value="{link}" selected>' in text_of(client, edit)
    assert f'href="/incidents/{incident.number}/"' in text_of(client, f"/releases/{release.number}/")
    here = text_of(client, f"/incidents/{incident.number}/")
    assert f'href="/releases/{release.number}/"' in here
    assert "Release composed for this incident" in here
    release.refresh_from_db()
    assert client.post(save, grade_part(release, incident_open="")).status_code == 302
    release.refresh_from_db()
    assert release.incident is None


@long
def test_a_new_draft_for_an_open_incident_is_urgent_and_says_why(shop: Shop, incident: Incident) -> None:
    client = browser(shop.cast.author)
    assert f'<option value="{link_of(incident)}">' in text_of(client, "/releases/new/")
    sent = {
        "environment": "shop-production",
        "service": "shopping-service",
        "other-shopping-service": "2.8.1",
        "incident_link": link_of(incident),
    }
    assert client.post("/releases/new/", sent).status_code == 302
    release = Release.objects.get()
    named = {"link": link_of(incident), "reason": incident.title}
    assert (release.grade, release.incident) == ("E", named)
    wrong = client.post("/releases/new/", {**sent, "service": "no-such-service"})
    assert wrong.status_code == 422
    assert f'<option value="{link_of(incident)}" selected>' in unescape(wrong.content.decode())


@long
def test_what_is_closed_or_of_another_system_or_hidden_is_not_offered(shop: Shop, incident: Incident) -> None:
    link, release = link_of(incident), make_release(shop)
    edit = f"/releases/{release.number}/edit/"
    client = browser(shop.cast.author)
    Environment.objects.update(system="elsewhere")
    assert [each.link for each in open_incidents(shop.cast.author, "elsewhere")] == [link]
    assert open_incidents(shop.cast.author, "shop") == []
    shop.environment.spec["visibility"] = "private"
    shop.environment.save()
    rights.grant()
    assert open_incidents(shop.cast.outsider, "elsewhere") == []
    release.incident = {"link": link, "reason": "it fails"}
    release.save()
    operations.close_incident(incident.number, actor=acting(shop.cast.author), cause="x")
    page = text_of(client, edit)
    assert f'name="incident_link" value="{link}"' in page, "what is named stays named"
    assert '<option value="' + link not in page
    assert f'href="/incidents/{incident.number}/"' in text_of(client, f"/releases/{release.number}/")


def test_a_linked_release_leads_back_to_its_incident(shop: Shop, incident: Incident) -> None:
    release = make_release(shop)
    operations.link_release(incident.number, release.number, actor=acting(shop.cast.author))
    assert list(queries.incidents_of(shop.cast.auditor, release)) == [incident]
    assert not queries.incidents_of(shop.cast.auditor, make_release(shop)).exists()
    for odd in ("https://x.example/incidents/1/", f"{link_of(incident)}0", link_of(incident)[:-2] + "x/"):
        other = make_release(shop, incident={"link": odd, "reason": "y"})
        assert not queries.incidents_of(shop.cast.auditor, other).exists(), odd


def test_a_release_of_another_environment_of_the_system_is_shown_to_who_may_see_it(
    shop: Shop, incident: Incident
) -> None:
    release = make_release(shop, incident={"link": link_of(incident).removesuffix("/"), "reason": "y"})
    hidden = make_environment(shop, "shop-staging", stage="staging", spec={"visibility": "private"})
    rights.grant()
    Release.objects.filter(pk=release.pk).update(environment=hidden)
    assert list(queries.releases_of(incident, None)) == [release]
    assert not queries.releases_of(incident, shop.cast.outsider).exists()


def test_it_is_corrected_on_its_page_when_it_is_closed_as_well(shop: Shop, incident: Incident) -> None:
    client, here = browser(shop.cast.author), f"/incidents/{incident.number}/"
    release = make_release(shop)
    operations.link_release(incident.number, release.number, actor=acting(shop.cast.author))
    operations.close_incident(incident.number, actor=acting(shop.cast.author), cause="A full disk")
    page = text_of(client, here)
    assert f'href="{here}correct/"' in page
    assert f'href="{here}unlink/"' in page
    outside = text_of(browser(shop.cast.outsider), here)
    assert f"{here}correct/" not in outside
    assert f"{here}unlink/" not in outside
    wall = timezone.localtime(incident.began_at)
    as_shown = f"{wall:%Y-%m-%dT%H:%M}"
    assert f'value="{as_shown}"' in text_of(client, f"{here}correct/")
    client.post(f"{here}correct/", {"title": "Payments fail", "began_at": as_shown})
    began = incident.began_at
    incident.refresh_from_db()
    assert (incident.title, incident.began_at) == ("Payments fail", began), "no second of it is lost"
    earlier = wall - timedelta(hours=1)
    client.post(f"{here}correct/", {"title": "Payments fail", "began_at": f"{earlier:%Y-%m-%dT%H:%M}"})
    incident.refresh_from_db()
    assert incident.began_at == earlier.replace(second=0, microsecond=0)
    late = client.post(f"{here}correct/", {"title": "Payments fail", "began_at": "2099-01-01T00:00"})
    assert late.status_code == 422
    assert client.post(f"{here}unlink/", {"release": release.number + 1}).status_code == 422
    client.post(f"{here}unlink/", {"release": release.number})
    page = text_of(client, here)
    assert "Link taken back" in page
    assert f"{here}unlink/" not in page


def test_who_corrects_second_is_shown_what_the_first_has_made_of_it(shop: Shop, incident: Incident) -> None:
    first, second = browser(shop.cast.author), browser(shop.cast.pl)
    here, wall = f"/incidents/{incident.number}/correct/", timezone.localtime(incident.began_at)
    typed = {"title": incident.title, "began_at": f"{wall:%Y-%m-%dT%H:%M}"}
    marks = [mark_in(text_of(each, here)) for each in (first, second)]
    assert first.post(here, {**typed, "title": "Payments fail", "mark": marks[0]}).status_code == 302
    earlier = f"{wall - timedelta(hours=1):%Y-%m-%dT%H:%M}"
    late = second.post(here, {**typed, "began_at": earlier, "mark": marks[1]})
    assert late.status_code == 409
    shown = unescape(late.content.decode())
    assert "It was corrected since you looked: “Payments fail”" in shown
    assert f'value="{earlier}"' in shown, "what was typed is there still"
    incident.refresh_from_db()
    assert (incident.title, incident.entries.count()) == ("Payments fail", 1)
    again = {"title": "Payments fail", "began_at": earlier, "mark": mark_in(shown)}
    assert second.post(here, again).status_code == 302
    incident.refresh_from_db()
    assert incident.began_at == (wall - timedelta(hours=1)).replace(second=0, microsecond=0)


def mark_in(page: str) -> str:
    """What names, in a form, the state that was seen."""
    return page.partition('name="mark" value="')[2].partition('"')[0]
