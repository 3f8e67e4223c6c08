"""Quiet hours and digests follow a person's own clock, on the days on which clocks change as well."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portal.notices.hours import next_digest, quiet_until

ZONES = ["Asia/Seoul", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "UTC"]
# Around both clock changes of 2026 in the north and in the south.
SEASONS = ["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"]
zones = st.sampled_from(ZONES).map(ZoneInfo)
hours = st.integers(0, 23)
moments = st.builds(
    lambda day, minutes: datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(minutes=minutes),
    st.sampled_from(SEASONS),
    st.integers(-2 * 24 * 60, 2 * 24 * 60),
)


def shown(moment: datetime, zone: ZoneInfo) -> int:
    """The hour on the person's clock."""
    return moment.astimezone(zone).hour


def quiet_hours(start: int, end: int) -> set[int]:
    return {hour % 24 for hour in range(start, end if end > start else end + 24)}


@given(now=moments, zone=zones, start=hours, length=st.integers(1, 23))
def test_quiet_lasts_while_the_clock_shows_quiet_hours_and_not_a_minute_longer(
    now: datetime, zone: ZoneInfo, start: int, length: int
) -> None:
    end = (start + length) % 24
    quiet = quiet_hours(start, end)
    ends = quiet_until(now, start=start, end=end, zone=zone)
    if ends is None:
        assert shown(now, zone) not in quiet
        return
    assert shown(ends, zone) not in quiet
    minutes = int((ends - now).total_seconds() // 60)
    assert all(shown(now + timedelta(minutes=each), zone) in quiet for each in range(minutes))


@given(now=moments, zone=zones, hour=hours)
@example(now=datetime(2026, 10, 3, 15, 29, tzinfo=UTC), zone=ZoneInfo("Australia/Lord_Howe"), hour=2)
def test_every_day_has_one_digest_at_its_hour_or_where_the_clock_jumps_over_it(
    now: datetime, zone: ZoneInfo, hour: int
) -> None:
    moment, days = now, []
    for _day in range(4):
        earlier, moment = moment, next_digest(moment, hour=hour, zone=zone)
        assert moment > earlier
        local = moment.astimezone(zone)
        a_minute_before = (moment - timedelta(minutes=1)).astimezone(zone)
        # By an hour, or by half of one as on Lord Howe Island, which ends within the hour itself.
        is_jumped_over = (local.hour, local.minute) > (hour, 0) and a_minute_before.hour < hour
        assert (local.hour, local.minute) == (hour, 0) or is_jumped_over
        days.append(local.date())
    assert days == [days[0] + timedelta(days=each) for each in range(4)]


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        ("2026-03-07T23:30-05:00", "2026-03-08T07:00-04:00"),  # an hour shorter
        ("2026-10-31T23:30-04:00", "2026-11-01T07:00-05:00"),  # an hour longer
        ("2026-06-01T21:59-04:00", None),
    ],
)
def test_a_night_in_new_york_is_as_long_as_its_clock_makes_it(now: str, ends: str | None) -> None:
    found = quiet_until(datetime.fromisoformat(now), start=22, end=7, zone=ZoneInfo("America/New_York"))
    assert found == (datetime.fromisoformat(ends) if ends else None)
