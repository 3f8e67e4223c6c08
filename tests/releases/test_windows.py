"""Windows that people set on the page or by the API: what they do, by whom, seen before they are saved."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from django.test import Client

from approvals.calendar import operations as calendar
from approvals.calendar.models import Freeze, OpenHours
from approvals.calendar.rules import Window
from portal import clock
from portal.audit.models import AuditEntry
from portal.errors import Conflict, Invalid, NotAllowed
from portal.outbox.models import Message
from portal.people.models import User
from releases import openings, operations
from releases.models import Release
from tests.factories import Shop, make_release
from tests.people import BY_THE_PORTAL, acting
from tests.portal.api import ApiClient
from tests.releases.test_freezes import EVERYBODY
from tests.soak import long

DAY = timedelta(days=1)
PLACE = "environment:shop-production"
UTC_ZONE = ZoneInfo("UTC")
ALL_DAYS = frozenset(range(7))
NAMES = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def later(hours: float = 3) -> datetime:
    """A full hour that is ahead."""
    return (clock.now() + timedelta(hours=hours)).replace(minute=0, second=0, microsecond=0)


def an_hour(start: datetime, **changes: Any) -> Window:
    """A window of an hour each day."""
    wall = start.astimezone(UTC_ZONE)
    said: dict[str, Any] = {
        "days": ALL_DAYS,
        "start": time(wall.hour),
        "end": time((wall.hour + 1) % 24),
        "zone": UTC_ZONE,
        **changes,
    }
    return Window(**said)


def body(start: datetime, **changes: Any) -> dict[str, Any]:
    """The same window as the API takes it."""
    wall = start.astimezone(UTC_ZONE)
    hours = {"from": f"{wall:%H}:00", "to": f"{(wall.hour + 1) % 24:02}:00", "zone": "UTC"}
    return {"scope": PLACE, "days": NAMES, **hours, "reason": "Quiet hours", **changes}


def form(start: datetime, **changes: Any) -> dict[str, Any]:
    """The same window as the page sends it."""
    wall = start.astimezone(UTC_ZONE)
    hours = {"opens": f"{wall:%H}:00", "closes": f"{(wall.hour + 1) % 24:02}:00", "zone": "UTC"}
    return {"days": [str(day) for day in range(7)], **hours, "reason": "Quiet hours", **changes}


def browser(user: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def scheduled(shop: Shop, at: datetime) -> Release:
    release = make_release(shop, at="approved")
    return operations.schedule_release(release.number, actor=acting(shop.cast.author), at=at)


def closed_for(release: Release) -> list[str]:
    return [str(each["kind"]) for each in openings.missing_for(release)]


def seal_in(page: str) -> str:
    return page.partition('name="seen" value="')[2].partition('"')[0]


@long
def test_a_window_of_the_api_closes_the_rest_of_the_day_until_it_is_ended(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    director = ApiClient(shop.cast.director)
    made = director.post("/windows", body(later()))
    assert made.status_code == 201, made.json()
    window = made.json()["window"]
    assert (window["open"], made.json()["saved"]) == (False, True)
    assert datetime.fromisoformat(made.json()["openings"][0]["starts"]) == later()
    assert closed_for(release) == ["windows"]
    (listed,) = director.get("/windows").json()["items"]
    assert (listed["id"], listed["scope"]) == (window["id"], PLACE)
    moved = director.send(
        "PUT", f"/windows/{window['id']}", {**body(later(0)), "to": "00:00", "from": "00:00"}
    )
    assert moved.status_code == 422  # the place of a window is not changed
    whole_day = {"days": NAMES, "from": "00:00", "to": "00:00", "zone": "UTC", "reason": "All day"}
    moved = director.send("PUT", f"/windows/{window['id']}", whole_day)
    assert (moved.status_code, moved.json()["window"]["open"]) == (200, True)
    assert closed_for(release) == []
    new = moved.json()["window"]["id"]
    gone = director.send("DELETE", f"/windows/{window['id']}", {"reason": "Not needed"})
    assert gone.status_code == 409
    assert director.send("DELETE", f"/windows/{new}", {"reason": ""}).status_code == 422
    assert director.send("DELETE", f"/windows/{new}", {"reason": "Not needed"}).status_code == 200
    assert director.get("/windows").json()["items"] == []
    assert OpenHours.objects.get(pk=new).replaces_id == window["id"]
    kept = AuditEntry.objects.filter(subject_kind="windows").order_by("id").values_list("action", flat=True)
    assert list(kept) == ["window.added", "window.changed", "freeze.refused", "window.ended"]
    told = Message.objects.filter(key__startswith="windows.").values_list("key", flat=True)
    assert f"windows.{window['id']}.window.added:author" in told


@long
def test_a_dry_run_says_what_a_window_would_do_and_saves_nothing(shop: Shop) -> None:
    inside, outside = later(3) + timedelta(minutes=10), later(6)
    scheduled(shop, inside)
    late = make_release(
        shop, at="approved", items=[{"service": "payment-service", "version": "1.0.0"}], title="Late"
    )
    late = operations.schedule_release(late.number, actor=acting(shop.cast.author), at=outside)
    answer = ApiClient(shop.cast.author).post("/windows", body(later(), dry_run=True))
    assert answer.status_code == 200
    assert answer.json()["outside"] == [late.number]
    assert len(answer.json()["openings"]) == 3
    assert (answer.json()["saved"], answer.json()["window"]) == (False, None)
    assert not OpenHours.objects.exists()


@long
def test_the_page_shows_what_a_window_does_before_it_saves_it(shop: Shop) -> None:
    late = scheduled(shop, later(6))
    client = browser(shop.cast.director)
    address = "/calendar/windows/shop-production/add/"
    assert "Show what it does" in client.get(address).content.decode()
    looked = client.post(address, form(later())).content.decode()
    assert f"{late}" in looked
    assert not OpenHours.objects.exists()
    seal = seal_in(looked)
    other = client.post(address, form(later(4), seen=seal))
    assert other.status_code == 200
    assert not OpenHours.objects.exists()
    assert client.post(address, form(later(), seen=seal, reason="")).status_code == 422
    assert client.post(address, form(later(), seen=seal)).status_code == 302
    hours = OpenHours.objects.get()
    shown = client.get("/calendar/").content.decode()
    assert f"/calendar/windows/{hours.pk}/" in shown
    whole = form(later(), opens="00:00", closes="00:00", days=["0", "1"], first_day="2026-01-01")
    looked = client.post(f"/calendar/windows/{hours.pk}/", whole).content.decode()
    assert (
        client.post(f"/calendar/windows/{hours.pk}/", {**whole, "seen": seal_in(looked)}).status_code == 302
    )
    changed = OpenHours.objects.get(ended_at=None)
    assert (changed.days, changed.replaces_id) == ([0, 1], hours.pk)
    ending = f"/calendar/windows/{changed.pk}/end/"
    assert "open at all times" in client.get(ending).content.decode()
    assert client.post(ending, {"reason": "Enough"}).status_code == 302
    assert not OpenHours.objects.filter(ended_at=None).exists()
    assert "Enough" in client.get(ending).content.decode()


@long
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"days": []}, "days"),
        ({"opens": "25:00"}, "opens"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"first_day": "2027-02-01", "last_day": "2027-01-01"}, "last_day"),
        ({"last_day": "2020-01-01"}, "last_day"),
        ({"first_day": "0001-01-01"}, "first_day"),
        ({"reason": " "}, "reason"),
    ],
)
def test_hours_that_make_no_sense_are_refused_beside_their_field(
    shop: Shop, change: dict[str, Any], field: str
) -> None:
    client = browser(shop.cast.director)
    address = "/calendar/windows/shop-production/add/"
    typed = form(later(), **change)
    answer = client.post(address, typed)
    if answer.status_code == 200:
        answer = client.post(address, {**typed, "seen": seal_in(answer.content.decode())})
    assert answer.status_code == 422
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert not OpenHours.objects.exists()


@long
def test_what_a_catalog_file_says_stands_beside_it_and_is_changed_in_the_file_alone(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    whole_day = {"days": NAMES, "from": "00:00", "to": "00:00", "timeZone": "UTC"}
    shop.environment.spec = {"windows": [whole_day]}
    shop.environment.save()
    calendar.add_window(actor=BY_THE_PORTAL, scope=PLACE, window=an_hour(later()), reason="More")
    release.refresh_from_db()
    assert closed_for(release) == []
    in_file, on_page = ApiClient(shop.cast.author).get("/windows").json()["items"]
    assert (in_file["id"], in_file["open"], on_page["open"]) == (None, True, False)
    shown = browser(shop.cast.director).get("/calendar/").content.decode()
    assert shown.count("from the catalog file") == 1


@long
def test_a_window_closes_from_its_first_day_and_stays_closed_after_its_last(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    today = clock.now().astimezone(UTC_ZONE).date()
    soon = an_hour(later(), first=today + 2 * DAY, last=today + 3 * DAY)
    hours = calendar.add_window(actor=BY_THE_PORTAL, scope=PLACE, window=soon, reason="From then on")
    assert closed_for(release) == []
    OpenHours.objects.filter(pk=hours.pk).update(first_day=today - 9 * DAY, last_day=today - 2 * DAY)
    assert closed_for(release) == ["windows"]
    (missing,) = openings.missing_for(release)
    assert missing["until"] is None


@long
def test_who_may_lift_a_freeze_of_the_whole_place_says_when_it_is_open(shop: Shop) -> None:
    assert {who for who in EVERYBODY if _may(shop, getattr(shop.cast, who))} == {"director", "administrator"}
    panel = browser(shop.cast.author).get("/calendar/windows/shop-production/add/").content.decode()
    assert "Windows are set by" in panel
    assert "Director" in panel
    assert browser(shop.cast.author).post("/calendar/windows/nowhere/add/", form(later())).status_code == 404


def _may(shop: Shop, user: User) -> bool:
    """Whether a person gets through with each of the three acts; what they did is undone."""
    window = an_hour(later())
    stands = calendar.add_window(actor=BY_THE_PORTAL, scope=PLACE, window=window, reason="x")
    acts: tuple[Callable[[], object], ...] = (
        lambda: calendar.add_window(actor=acting(user), scope=PLACE, window=window, reason="x"),
        lambda: calendar.change_window(stands.pk, actor=acting(user), window=window, reason="x"),
        lambda: calendar.end_window(stands.pk, actor=acting(user), reason="x"),
    )
    through = 0
    for act in acts:
        with transaction.atomic(), suppress(NotAllowed):
            act()
            through += 1
            transaction.set_rollback(True)
    assert through in {0, len(acts)}
    return bool(through)


@pytest.mark.parametrize("scope", ["*", "team:commerce", "environment:nowhere"])
def test_only_an_environment_has_windows(shop: Shop, scope: str) -> None:
    with pytest.raises(Invalid):
        calendar.add_window(
            actor=acting(shop.cast.director), scope=scope, window=an_hour(later()), reason="x"
        )


def freeze(shop: Shop, *, begins_in: timedelta) -> Freeze:
    starts = clock.now() + begins_in
    return calendar.add_freeze(
        actor=acting(shop.cast.director),
        name="Year end",
        reason="Books",
        scope="team:commerce",
        starts=starts,
        ends=starts + 2 * DAY,
    )


@long
def test_a_freeze_is_made_longer_by_who_may_add_one_and_shorter_by_who_may_lift_it(shop: Shop) -> None:
    held = freeze(shop, begins_in=timedelta())
    ends = held.ends_at
    assert ends is not None
    author, lead = ApiClient(shop.cast.author), ApiClient(shop.cast.team_lead)
    address = f"/freezes/{held.pk}"
    longer = {"ends": (ends + DAY).isoformat(), "reason": "Still closing"}
    assert author.send("PATCH", address, longer).json()["ends"] is not None
    shorter = {"ends": ends.isoformat(), "reason": "Done early"}
    assert author.send("PATCH", address, shorter).status_code == 403
    assert lead.send("PATCH", address, shorter).status_code == 200
    earlier = {"starts": (held.starts_at - DAY).isoformat(), "reason": "x"}
    refused = lead.send("PATCH", address, earlier)
    assert (refused.status_code, refused.json()["missing"][0]["field"]) == (422, "starts")
    assert lead.send("PATCH", address, {"name": "Books"}).status_code == 422
    held.refresh_from_db()
    assert (held.name, held.ends_at) == ("Year end", ends)
    kept = AuditEntry.objects.filter(action="freeze.changed").count()
    assert kept == 2
    stop = calendar.stop_line(actor=acting(shop.cast.director), reason="x", scope="team:commerce")
    with pytest.raises(Conflict):
        calendar.change_freeze(
            stop.pk,
            actor=acting(shop.cast.team_lead),
            reason="x",
            name="x",
            starts=stop.starts_at,
            ends=ends,
            zone="UTC",
        )


@long
def test_the_page_of_a_freeze_changes_its_times_on_the_clock_they_were_said_in(shop: Shop) -> None:
    held = freeze(shop, begins_in=DAY)
    client = browser(shop.cast.team_lead)
    assert (
        f"/calendar/freezes/{held.pk}/change/" in client.get(f"/calendar/freezes/{held.pk}/").content.decode()
    )
    panel = client.get(f"/calendar/freezes/{held.pk}/change/").content.decode()
    wall = held.starts_at.astimezone(ZoneInfo("Asia/Seoul"))
    assert f'value="{wall:%Y-%m-%dT%H:%M}"' in panel
    starts, ends = wall + 5 * DAY, wall + 6 * DAY
    typed = {
        "name": "Year end",
        "zone": "Asia/Seoul",
        "starts": f"{starts:%Y-%m-%dT%H:%M}",
        "ends": f"{ends:%Y-%m-%dT%H:%M}",
    }
    address = f"/calendar/freezes/{held.pk}/change/"
    assert client.post(address, {**typed, "reason": ""}).status_code == 422
    assert client.post(address, {**typed, "reason": "Moved"}).status_code == 302
    held.refresh_from_db()
    assert held.starts_at == starts.replace(second=0, microsecond=0)
    assert held.reason == "Books"
