"""The calendar page: what is scheduled, closed and clashing, the bar of every page, and the forms."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from approvals.calendar import operations as calendar
from approvals.calendar.models import Freeze
from portal import clock
from portal.live import topics
from portal.live.models import Event
from portal.people.models import User
from releases import operations
from releases.models import Release
from releases.reading import calendar as calendar_reading
from releases.reading.calendar import MOST_IN_A_MONTHS_DAY
from releases.rollouts.models import Rollout
from tests.factories import Shop, make_release
from tests.people import BY_THE_PORTAL, acting
from tests.soak import long

DAY = timedelta(days=1)
DAYS = ["mon", "tue", "wed", "thu", "fri"]


def browser(user: User) -> Client:
    """Somebody who reads English."""
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def page(user: User, path: str) -> str:
    """What the person sees at an address."""
    answer = browser(user).get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def tomorrow_noon() -> datetime:
    return (clock.now() + DAY).replace(hour=12, minute=0, second=0, microsecond=0)


def scheduled(shop: Shop, at: datetime, **changes: Any) -> Release:
    release = make_release(shop, at="approved", **changes)
    return operations.schedule_release(release.number, actor=acting(shop.cast.author), at=at)


def freeze(starts: datetime, *, scope: str = "*") -> Freeze:
    return calendar.add_freeze(
        actor=BY_THE_PORTAL, name="Year end", reason="Books", scope=scope, starts=starts, ends=starts + DAY
    )


@long
@pytest.mark.parametrize("view", ["month", "week"])
def test_a_month_and_a_week_show_releases_freezes_windows_and_what_clashes(shop: Shop, view: str) -> None:
    at = tomorrow_noon()
    shop.environment.spec = {
        "windows": [
            {"days": days, "from": "00:00", "to": "00:00", "timeZone": "UTC"}
            for days in (DAYS, ["sat", "sun"])
        ]
    }
    shop.environment.save()
    both = [{"service": name, "version": "2.8.0"} for name in ("shopping-service", "payment-service")]
    first = scheduled(shop, at, items=both)
    second = scheduled(shop, at + timedelta(minutes=5), title="Shopping again")
    freeze(at - timedelta(hours=1))
    shown = page(shop.cast.outsider, f"/calendar/?view={view}&date={at:%Y-%m-%d}")
    assert f"#{first.number} Shopping 2.8.0" in shown, shown
    assert "Year end" in shown
    assert "Mon Tue Wed Thu Fri 00:00–00:00 UTC" in shown
    clashes = shown.partition('id="clashes"')[2].partition("</ul>")[0]
    assert f"#{first.number}" in clashes
    assert "Year end" in clashes
    assert shown.count("is-clashing") == 2
    assert f"#{second.number} Shopping again change the same services at the same time: shopping" in clashes


@long
@pytest.mark.parametrize("view", ["month", "week"])
def test_what_went_out_stands_on_its_day_with_its_outcome_and_length(shop: Shop, view: str) -> None:
    began = clock.now() - 40 * DAY
    gone = make_release(shop, at="announced")
    failed = make_release(shop, at="rolling_out", title="Shopping hotfix")
    for release, state, minutes in ((gone, "succeeded", 12), (failed, "failed", 3)):
        times = {"started_at": began, "ended_at": began + timedelta(minutes=minutes)}
        Rollout.objects.filter(release=release).update(state=state, **times)
    shown = page(shop.cast.outsider, f"/calendar/?view={view}&date={began:%Y-%m-%d}")
    for release, outcome, length in ((gone, "Succeeded", "12 min"), (failed, "Failed", "3 min")):
        rollout = Rollout.objects.get(release=release)
        entry = shown.partition(f'href="/rollouts/{rollout.pk}/"')[2].partition("</a>")[0]
        assert str(release) in entry
        assert outcome.lower() in entry.lower()
        assert length in entry
    later = page(shop.cast.outsider, f"/calendar/?view={view}")
    assert str(gone) not in later


@long
def test_of_the_past_only_what_happened_is_shown(shop: Shop) -> None:
    shop.environment.spec = {
        "windows": [{"days": ["mon"], "from": "10:00", "to": "17:00", "timeZone": "UTC"}]
    }
    shop.environment.save()
    held = freeze(clock.now(), scope=f"environment:{shop.environment.name}")
    calendar.lift_freeze(held.pk, actor=BY_THE_PORTAL, reason="Done early")
    began = clock.now() - 40 * DAY
    Freeze.objects.filter(pk=held.pk).update(
        starts_at=began, ends_at=began + 9 * DAY, lifted_at=began + timedelta(hours=1)
    )
    shown = page(shop.cast.outsider, f"/calendar/?view=week&date={began:%Y-%m-%d}")
    assert "calendar-span" not in shown
    assert "hatched" not in shown
    assert 0 < shown.count("calendar-freeze") <= 2  # an hour, which may lie over midnight
    assert "calendar-span" in page(
        shop.cast.outsider, f"/calendar/?view=week&date={clock.now() + 8 * DAY:%Y-%m-%d}"
    )


@long
def test_a_full_day_of_a_month_leads_to_its_week(shop: Shop) -> None:
    began = (clock.now() - 40 * DAY).replace(hour=1)
    release = make_release(shop, at="announced")
    (first,) = release.rollouts.all()
    Rollout.objects.filter(pk=first.pk).update(started_at=began, ended_at=began)
    for number in range(MOST_IN_A_MONTHS_DAY + 1):
        first.pk = None
        first.started_at, first.ended_at = began + number * timedelta(minutes=1), began
        first.save(force_insert=True)
    shown = page(shop.cast.outsider, f"/calendar/?date={began:%Y-%m-%d}")
    assert "2 more" in shown
    assert shown.count("is-run") == MOST_IN_A_MONTHS_DAY
    week = page(shop.cast.outsider, f"/calendar/?view=week&date={began:%Y-%m-%d}")
    assert week.count("is-run") == MOST_IN_A_MONTHS_DAY + 2


@long
def test_a_month_asks_the_database_as_often_whatever_went_out(shop: Shop) -> None:
    with CaptureQueriesContext(connection) as empty:
        calendar_reading.view_of(shop.cast.outsider, *calendar_reading.month_around(clock.now().date()))
    for title in ("One", "Two"):
        release = make_release(shop, at="announced", title=title)
        Rollout.objects.filter(release=release).update(started_at=clock.now(), ended_at=clock.now())
    with CaptureQueriesContext(connection) as full:
        calendar_reading.view_of(shop.cast.outsider, *calendar_reading.month_around(clock.now().date()))
    # Rollouts of the releases found, and the environment of what is drawn, whatever their number.
    assert len(full) <= len(empty) + 1


@long
def test_days_stand_on_the_viewers_own_clock(shop: Shop) -> None:
    at = (clock.now() + 3 * DAY).astimezone(UTC).replace(hour=20, minute=0, second=0, microsecond=0)
    scheduled(shop, at)
    seoul = at + timedelta(hours=9)
    shown = page(shop.cast.outsider, f"/calendar/?view=month&date={seoul:%Y-%m-%d}")
    cell = shown.partition(f'datetime="{seoul:%Y-%m-%d}"')[2].partition("</td>")[0]
    assert "05:00" in cell


@long
@pytest.mark.parametrize("query", ["?date=nonsense", "?date=0001-01-01", "?date=9999-12-31&view=week", ""])
def test_the_page_opens_at_any_date_for_everybody(shop: Shop, query: str) -> None:
    for user in (shop.cast.auditor, shop.cast.outsider):
        assert "Calendar" in page(user, f"/calendar/{query}")


@long
def test_the_bar_stands_on_every_page_while_the_line_is_stopped(shop: Shop) -> None:
    assert "The line is stopped" not in page(shop.cast.outsider, "/releases/")
    lead = browser(shop.cast.director)
    form = lead.get("/calendar/freezes/stop/").content.decode()
    assert "Stop the line" in form
    assert lead.post("/calendar/freezes/stop/", {"scope": "*", "reason": ""}).status_code == 422
    assert (
        lead.post("/calendar/freezes/stop/", {"scope": "*", "reason": "Payments <b>lost"}).status_code == 302
    )
    stop = Freeze.objects.get()
    for path in ("/", "/releases/", "/board/", "/calendar/line/"):
        shown = page(shop.cast.outsider, path)
        assert "The line is stopped" in shown
        assert "Payments &lt;b&gt;lost" in shown
    panel = page(shop.cast.director, f"/calendar/freezes/{stop.pk}/")
    assert "Administrator" in panel
    assert 'name="reason"' not in panel
    refused = lead.post(f"/calendar/freezes/{stop.pk}/", {"reason": "mine"})
    assert refused.status_code == 403
    administrator = browser(shop.cast.administrator)
    assert administrator.post(f"/calendar/freezes/{stop.pk}/", {"reason": "Repaired"}).status_code == 302
    assert "The line is stopped" not in page(shop.cast.outsider, "/releases/")


@long
def test_a_freeze_is_added_on_the_clock_of_its_zone_and_lifted(shop: Shop) -> None:
    client = browser(shop.cast.administrator)
    form = {"name": "Year end", "scope": "team:commerce", "reason": "Books", "zone": "America/New_York"}
    year = clock.now().year + 1
    times = {"starts": f"{year}-12-24T18:00", "ends": f"{year + 1}-01-02T09:00"}
    assert client.post("/calendar/freezes/add/", {**form, **times}).status_code == 302
    held = Freeze.objects.get()
    assert held.starts_at == datetime(year, 12, 24, 23, 0, tzinfo=UTC)
    assert held.zone == "America/New_York"
    missing = client.post("/calendar/freezes/add/", {**form, "starts": "", "ends": ""})
    assert missing.status_code == 422
    assert "Year end" in missing.content.decode()
    assert client.post(f"/calendar/freezes/{held.pk}/", {"reason": "Not needed"}).status_code == 302
    assert "Not needed" in page(shop.cast.outsider, f"/calendar/freezes/{held.pk}/")


def test_a_time_that_the_clocks_skip_is_refused(shop: Shop) -> None:
    client = browser(shop.cast.administrator)
    form = {"name": "x", "scope": "*", "reason": "x", "zone": "Europe/Berlin", "ends": "2028-05-01T00:00"}
    answer = client.post("/calendar/freezes/add/", {**form, "starts": "2028-03-26T02:30"})
    assert answer.status_code == 422
    assert "skip this hour" in answer.content.decode()


@long
def test_the_calendar_stands_in_the_navigation_and_its_panels_open_for_everybody(shop: Shop) -> None:
    held = freeze(tomorrow_noon())
    shown = page(shop.cast.author, "/releases/")
    assert shown.count('href="/calendar/"') == 2
    for path in ("add/", "stop/", f"{held.pk}/"):
        assert page(shop.cast.outsider, f"/calendar/freezes/{path}").count("<h1") == 1


def test_open_pages_hear_that_the_line_is_stopped_and_goes_again(
    shop: Shop, django_capture_on_commit_callbacks: Any
) -> None:
    assert 'data-live-topic="calendar"' in page(shop.cast.outsider, "/releases/")
    assert topics.streams_of("calendar", [shop.cast.outsider]) == {shop.cast.outsider.pk: "calendar"}
    assert topics.streams_of("calendar.x", [shop.cast.outsider]) == {}
    with django_capture_on_commit_callbacks(execute=True):
        stop = calendar.stop_line(actor=BY_THE_PORTAL, reason="Payments are lost")
        calendar.lift_freeze(stop.pk, actor=BY_THE_PORTAL, reason="Repaired")
    told = Event.objects.filter(topic="calendar").order_by("number").values_list("kind", flat=True)
    assert list(told) == ["freeze.stopped", "freeze.lifted"]
    assert 'data-live-after="2"' in page(shop.cast.outsider, "/calendar/line/")
