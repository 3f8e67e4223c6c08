"""Five fields of cron on the wall of a zone, over clock changes as well."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from releases.catalog.cron import is_sound, last_times, next_time

NEW_YORK = ZoneInfo("America/New_York")
SEOUL = ZoneInfo("Asia/Seoul")
ZONES = ("Asia/Seoul", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "UTC")
CRONS = ("*/5 * * * *", "0 2 * * *", "30 2 * * 0", "15,45 1-3 * * *", "0 */6 1 * *", "30 1 * * 1-5")


def at(text: str, zone: ZoneInfo = NEW_YORK, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    "cron", ["0 2 * * *", "*/5 * * * *", "0,30 8-18/2 * * 1-5", "0 0 29 2 *", "0 0 * * 7"]
)
def test_five_fields_with_lists_ranges_and_steps_are_read(cron: str) -> None:
    assert is_sound(cron)


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "@daily",
        "0 2 * *",
        "0 2 * * * *",
        "0 0 31 2 *",
        "60 * * * *",
        "0 25 * * *",
        "*/0 * * * *",
        "0 2 L * *",
        "0 2 * * mon",
        "R 2 * * *",
        "H 2 * * *",
        "0 2 * * 1#2",
        "0  2 * * *",
        "5-1-2 * * * *",
    ],
)
def test_anything_else_and_what_no_day_comes_to_is_refused(cron: str) -> None:
    assert not is_sound(cron)


def test_the_nightly_hour_is_that_of_the_zone() -> None:
    due = next_time("0 2 * * *", SEOUL, datetime(2026, 3, 1, 12, tzinfo=UTC))
    assert due == datetime(2026, 3, 1, 17, tzinfo=UTC)


def test_what_falls_into_the_skipped_hour_is_due_as_long_after_the_change() -> None:
    assert next_time("30 2 * * *", NEW_YORK, at("2026-03-08T00:00")) == at("2026-03-08T03:30")
    assert next_time("30 2 * * *", NEW_YORK, at("2026-03-08T03:30")) == at("2026-03-09T02:30")


def test_of_the_hour_that_comes_twice_only_the_hourly_is_due_twice() -> None:
    begin, end = at("2026-11-01T01:00"), at("2026-11-01T02:00")
    assert end - begin == timedelta(hours=2)
    nightly = last_times("30 1 * * *", NEW_YORK, since=begin, until=end, most=50)
    assert nightly == [at("2026-11-01T01:30")]
    often = last_times("*/30 * * * *", NEW_YORK, since=begin, until=end, most=50)
    assert often == [begin + timedelta(minutes=30 * number) for number in range(5)]


def test_of_many_the_newest_are_named() -> None:
    until = datetime(2026, 6, 1, 12, 2, tzinfo=UTC)
    found = last_times("*/5 * * * *", SEOUL, since=until - timedelta(days=9), until=until, most=3)
    assert [each.minute for each in found] == [50, 55, 0]


FEW = settings(deadline=None, max_examples=30)
moments = st.integers(1_577_836_800, 2_051_222_400).map(lambda each: datetime.fromtimestamp(each, tz=UTC))


@FEW
@given(moments, st.sampled_from(CRONS), st.sampled_from(ZONES))
def test_the_next_time_is_the_only_one_up_to_itself(after: datetime, cron: str, name: str) -> None:
    zone = ZoneInfo(name)
    due = next_time(cron, zone, after)
    assert due > after
    assert last_times(cron, zone, since=after + timedelta(seconds=1), until=due, most=9) == [due]


@FEW
@given(moments, st.sampled_from(CRONS), st.sampled_from(ZONES), st.integers(1, 5))
def test_forward_and_backward_name_the_same_times(after: datetime, cron: str, name: str, count: int) -> None:
    zone = ZoneInfo(name)
    forward = []
    due = after
    for _each in range(count):
        due = next_time(cron, zone, due)
        forward.append(due)
    assert last_times(cron, zone, since=after + timedelta(seconds=1), until=due, most=count) == forward
