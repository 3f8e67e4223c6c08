"""An approved release that starts by itself at its time, or says why it did not."""

from datetime import datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from approvals.calendar import operations as calendar
from approvals.calendar.models import Freeze
from approvals.models import Request
from portal import clock
from portal.audit import checkpoints
from portal.audit.models import AuditEntry, Checkpoint
from portal.outbox.models import Message
from portal.people.models import User
from portal.people.operations import revoke_role
from portal.ui import times
from releases import operations
from releases.catalog.models import Plan
from releases.models import Release
from releases.rollouts import jobs
from releases.rollouts.models import Rollout
from tests.factories import Shop, make_release
from tests.people import BY_THE_PORTAL, acting
from tests.portal.api import ApiClient
from tests.rollouts.waiting import breaking_off
from tests.soak import long

WAVES = {"expectedMinutes": 30, "waves": [{"title": "All", "services": ["shopping-service"]}]}
HOUR = timedelta(hours=1)


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    """The author's way in, to a shop whose plan fits."""
    Plan.objects.filter(pk=shop.plan.pk).update(spec=WAVES)
    return ApiClient(shop.cast.author)


def scheduled(
    shop: Shop, *, late: timedelta = timedelta(minutes=1), service: str = "shopping-service"
) -> Release:
    """A release whose time has just come."""
    release = make_release(shop, at="approved", items=[{"service": service, "version": "2.8.0"}])
    operations.schedule_release(release.number, actor=acting(shop.cast.author), at=clock.now() + HOUR)
    Release.objects.filter(pk=release.pk).update(scheduled_at=clock.now() - late)
    release.refresh_from_db()
    return release


def this_second() -> datetime:
    """JSON tells milliseconds only."""
    return clock.now().replace(microsecond=0)


def freeze(*, starts: datetime, ends: datetime) -> Freeze:
    return calendar.add_freeze(actor=BY_THE_PORTAL, name="Year end", reason="Books", starts=starts, ends=ends)


def test_where_the_portal_itself_fails_at_a_start_the_others_start(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = [{"services": [name]} for name in ("shopping-service", "auth-service")]
    Plan.objects.filter(pk=shop.plan.pk).update(spec={**WAVES, "waves": each})
    bad, good = scheduled(shop), scheduled(shop, late=timedelta(0), service="auth-service")
    breaking_off(monkeypatch, bad)
    User.objects.filter(pk=shop.cast.author.pk).update(language="en")
    jobs.start_due()
    assert Rollout.objects.get().release_id == good.pk
    assert Release.objects.get(pk=bad.pk).state == "approved"
    [told] = Message.objects.filter(key__contains=".missed.")
    assert "fault of its own" in told.body


@long
def test_it_starts_at_its_time_in_the_name_of_who_scheduled_it(shop: Shop, api: ApiClient) -> None:
    release = make_release(shop, at="approved")
    at = this_second() + HOUR
    answer = api.post(f"/releases/{release.number}/schedule", {"at": at.isoformat()})
    assert (answer.status_code, answer.json()["state"]) == (200, "scheduled")
    assert datetime.fromisoformat(answer.json()["scheduled_at"]) == at
    jobs.start_due()
    assert not Rollout.objects.exists()
    Release.objects.filter(pk=release.pk).update(scheduled_at=clock.now())
    jobs.start_due()
    jobs.start_due()
    rollout = Rollout.objects.get()
    assert rollout.started_by == shop.cast.author
    answer = api.get(f"/releases/{release.number}").json()
    assert (answer["state"], answer["scheduled_at"]) == ("rolling_out", None)
    entry = AuditEntry.objects.get(action="rollout.queued")
    assert entry.actor == "author"
    assert '"door":"worker"' in entry.body


@long
def test_the_next_window_is_the_first_moment_at_which_nothing_is_closed(shop: Shop, api: ApiClient) -> None:
    release = make_release(shop, at="approved")
    now = this_second()
    first, second = freeze(starts=now, ends=now + HOUR), freeze(starts=now + HOUR / 2, ends=now + 3 * HOUR)
    early = {"at": (now + 2 * HOUR).isoformat()}
    problem = api.post(f"/releases/{release.number}/schedule", early).json()
    assert (problem["code"], [each["id"] for each in problem["missing"]]) == ("frozen", [second.pk])
    answer = api.post(f"/releases/{release.number}/schedule", {"window": "next"}).json()
    assert datetime.fromisoformat(answer["scheduled_at"]) == second.ends_at
    assert first.ends_at != second.ends_at


@long
def test_what_is_not_approved_is_not_scheduled_and_says_what_is_missing(shop: Shop, api: ApiClient) -> None:
    release = make_release(shop, at="in_review")
    problem = api.post(f"/releases/{release.number}/schedule", {"window": "next"}).json()
    assert (problem["code"], problem["missing"][0]["role"]) == ("not_approved", "pl")
    draft = make_release(shop)
    problem = api.post(f"/releases/{draft.number}/schedule", {"window": "next"}).json()
    assert problem["code"] == "wrong_state"


@long
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"at": "2020-01-01T00:00:00+09:00"},
        {"at": "2099-01-01T00:00:00+09:00"},
        {"window": "soon"},
        {"at": "2099-01-01T00:00:00+09:00", "window": "next"},
    ],
)
def test_a_time_that_makes_no_sense_is_refused(shop: Shop, api: ApiClient, body: dict[str, Any]) -> None:
    release = make_release(shop, at="approved")
    assert api.post(f"/releases/{release.number}/schedule", body).status_code == 422


@long
def test_an_approval_that_ends_before_the_time_is_refused(shop: Shop, api: ApiClient) -> None:
    release = make_release(shop, at="approved")
    at = clock.now() + 2 * HOUR
    Request.objects.update(expires_at=clock.now() + HOUR)
    answer = api.post(f"/releases/{release.number}/schedule", {"at": at.isoformat()})
    assert answer.status_code == 422
    assert answer.json()["missing"][0]["field"] == "at"


@long
def test_a_freeze_that_came_meanwhile_gives_it_back_and_tells_why(shop: Shop, api: ApiClient) -> None:
    release = scheduled(shop)
    now = clock.now()
    freeze(starts=now, ends=now + HOUR)
    jobs.start_due()
    release.refresh_from_db()
    assert (release.state, release.scheduled_at, Rollout.objects.count()) == ("approved", None, 0)
    message = Message.objects.get(key__contains="missed", recipient="author")
    assert "Year end" in message.body
    # The same people may start it when the freeze is over.
    Freeze.objects.all().delete()
    assert api.post(f"/releases/{release.number}/start").status_code in {200, 201, 202}


@long
def test_why_it_did_not_start_is_said_to_each_reader_whatever_the_worker_speaks(
    shop: Shop, api: ApiClient
) -> None:
    release, author, now = scheduled(shop), shop.cast.author, clock.now()
    freeze(starts=now, ends=now + HOUR)
    User.objects.filter(pk=author.pk).update(language="en")
    with translation.override("ko"):
        jobs.start_due()
    message = Message.objects.get(key__contains="missed", recipient="author")
    client = Client(headers={"accept-language": "en"})
    client.force_login(author)
    page = unescape(client.get(f"/releases/{release.pk}/").content.decode())
    until = times.absolute(now + HOUR, now=now)
    for told in (message.body, page.partition('id="record"')[2]):
        assert f'The freeze "Year end" (Books) lasts until {until}.' in told


@long
def test_who_may_not_start_it_any_more_starts_it_at_no_time_either(shop: Shop) -> None:
    release = scheduled(shop)
    for team in ("commerce", "identity"):
        revoke_role("author", role="release_manager", scope=f"team:{team}", actor=BY_THE_PORTAL)
    jobs.start_due()
    release.refresh_from_db()
    assert (release.state, Rollout.objects.count()) == ("approved", 0)


@long
def test_what_the_portal_slept_through_is_given_back(shop: Shop, api: ApiClient) -> None:
    release = scheduled(shop, late=3 * HOUR)
    jobs.start_due()
    release.refresh_from_db()
    assert (release.state, Rollout.objects.count()) == ("approved", 0)


@long
def test_what_may_have_started_before_an_older_copy_was_put_back_is_given_back(
    shop: Shop, settings: Any, tmp_path: Path
) -> None:
    log = tmp_path / "checkpoints.jsonl"
    settings.AUDIT_CHECKPOINT_LOG = str(log)
    release = scheduled(shop)
    lost = Checkpoint(number=100, first=1, head="", root="", key="", signature="", at=clock.now())
    log.write_text(checkpoints.line(lost) + "\n")
    with translation.override("en"):
        jobs.start_due()
    release.refresh_from_db()
    assert (release.state, Rollout.objects.count()) == ("approved", 0)
    assert AuditEntry.objects.filter(release=release.number, body__contains="older copy").exists()


@long
def test_a_scheduled_release_gets_another_time_or_none(shop: Shop, api: ApiClient) -> None:
    release = scheduled(shop)
    later = clock.now() + 5 * HOUR
    path = f"/releases/{release.number}/schedule"
    assert api.post(path, {"at": later.isoformat()}).status_code == 200
    jobs.start_due()
    assert not Rollout.objects.exists()
    assert ApiClient(shop.cast.outsider).send("DELETE", path).status_code == 403
    assert api.send("DELETE", path).json()["state"] == "approved"
    assert api.send("DELETE", path).status_code == 409


@long
def test_an_approval_taken_back_unschedules_it(shop: Shop) -> None:
    release = scheduled(shop)
    decision = release.approval_request.decisions.get()  # type: ignore[union-attr]
    operations.take_back_decision(release.number, decision.pk, actor=acting(shop.cast.pl))
    release.refresh_from_db()
    assert (release.state, release.scheduled_at) == ("in_review", None)
    jobs.start_due()
    assert not Rollout.objects.exists()


@long
def test_a_refused_start_offers_the_next_opening_as_one_press(shop: Shop, api: ApiClient) -> None:
    release = make_release(shop, at="approved")
    now = clock.now()
    held = freeze(starts=now, ends=now + HOUR)
    browser = Client(headers={"accept-language": "en"})
    browser.force_login(shop.cast.author)
    page = browser.post(f"/releases/{release.number}/start/")
    assert page.status_code == 409
    assert f'action="/releases/{release.number}/schedule/"' in page.content.decode()
    answer = browser.post(f"/releases/{release.number}/schedule/", {"window": "next"})
    assert answer.status_code == 302
    release.refresh_from_db()
    assert (release.state, release.scheduled_at) == ("scheduled", held.ends_at)
    shown = browser.get(f"/releases/{release.number}/").content.decode()
    assert f"/releases/{release.number}/unschedule/" in shown
    assert browser.post(f"/releases/{release.number}/unschedule/").status_code == 302
    local = (now + 2 * HOUR).strftime("%Y-%m-%dT%H:%M")
    typed = {"wall": local, "zone": "UTC"}
    assert browser.post(f"/releases/{release.number}/schedule/", typed).status_code == 302
    release.refresh_from_db()
    assert release.scheduled_at == (now + 2 * HOUR).replace(second=0, microsecond=0)
