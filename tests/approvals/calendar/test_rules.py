"""Windows and freezes against a clock that is read minute by minute, over all zones and clock changes."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.calendar.rules import (
    Closing,
    Rule,
    Window,
    Windows,
    clock_change,
    evaluate,
    next_opening,
    next_openings,
    openings,
)
from tests.soak import examples, long, repeated

MINUTE = timedelta(minutes=1)
SEOUL, BERLIN, NEW_YORK = ZoneInfo("Asia/Seoul"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
EVERY_DAY = frozenset(range(7))
# Half an hour, midnight, both ways and none at all: what clock changes come as.
CHANGING = [
    "America/New_York",
    "America/Santiago",
    "America/St_Johns",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Asia/Seoul",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Pacific/Chatham",
]
ZONES = st.sampled_from(CHANGING) | st.sampled_from(sorted(available_timezones()))
CLOCKS = st.builds(time, st.integers(0, 23), st.sampled_from([0, 30, 59]) | st.integers(0, 59))
FEW = settings(deadline=None, max_examples=examples(40, soaking=2000))


def changes_of(zone: ZoneInfo, year: int) -> list[datetime]:
    days = [date(year, 1, 1) + timedelta(days=number) for number in range(366)]
    return [found for day in days if (found := clock_change(zone, day)) is not None]


@st.composite
def windows(draw: st.DrawFn) -> Window:
    days = draw(st.frozensets(st.integers(0, 6), min_size=1))
    return Window(days=days, start=draw(CLOCKS), end=draw(CLOCKS), zone=ZoneInfo(draw(ZONES)))


@st.composite
def dated(draw: st.DrawFn, window: Window, at: datetime) -> Window:
    """The window with a first and a last day about a moment, or without."""
    today = at.astimezone(window.zone).date()
    near = st.none() | st.integers(-20, 20).map(lambda days: today + timedelta(days=days))
    return replace(window, first=draw(near), last=draw(near))


@st.composite
def moments(draw: st.DrawFn, zone: ZoneInfo) -> datetime:
    """A whole minute, most often within two days of one of the zone's clock changes."""
    year = draw(st.integers(2024, 2027))
    near = changes_of(zone, year)
    base = draw(st.sampled_from(near)) if near else datetime(year, 3, 1, tzinfo=UTC)
    return base.replace(second=0) + draw(st.integers(-2880, 2880)) * MINUTE


def stands_within(window: Window, at: datetime) -> bool:
    """What a person reads from the wall: counted in minutes of the week, without any of the code's ways."""
    wall = at.astimezone(window.zone)
    start, end = (each.hour * 60 + each.minute for each in (window.start, window.end))
    length = (end - start) % 1440 or 1440
    for back in (0, 1):
        day = wall.date() - timedelta(days=back)
        minute = back * 1440 + wall.hour * 60 + wall.minute
        is_dated = (window.first or day) <= day <= (window.last or day)
        if is_dated and day.weekday() in window.days and start <= minute < start + length:
            return True
    return False


def has_say(window: Window, at: datetime) -> bool:
    """Whether the wall shows the first day or a later one."""
    return window.first is None or at.astimezone(window.zone).date() >= window.first


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Rule], datetime]:
    window = draw(windows())
    at = draw(moments(window.zone))
    plain = [window, *draw(st.lists(windows(), max_size=1))]
    found = tuple(draw(dated(each, at)) if draw(st.booleans()) else each for each in plain)
    rules: list[Rule] = [Windows(name="a", windows=found)]
    for number in range(draw(st.integers(0, 2))):
        starts = at + draw(st.integers(-600, 600)) * MINUTE
        ends = starts + draw(st.integers(1, 1200)) * MINUTE
        rules.append(Closing(id=number, name="f", reason="", starts=starts, ends=ends))
    return rules, at


def allowed(rules: list[Rule], at: datetime) -> bool:
    """The brute force: every freeze is over or ahead, and one window of each place shows an open minute."""
    for rule in rules:
        if isinstance(rule, Windows):
            saying = [window for window in rule.windows if has_say(window, at)]
            if saying and not any(stands_within(window, at) for window in saying):
                return False
        elif rule.starts <= at and (rule.ends is None or at < rule.ends):
            return False
    return True


@long
@repeated
@FEW
@given(situations())
def test_a_moment_is_open_as_the_clocks_on_the_walls_say(found: tuple[list[Rule], datetime]) -> None:
    rules, at = found
    verdict = evaluate(rules, at)
    assert verdict.is_open == allowed(rules, at)
    assert {closure.rule.is_open(at) for closure in verdict.closures} <= {False}


@long
@repeated
@FEW
@given(situations())
def test_the_next_opening_is_the_first_open_minute(found: tuple[list[Rule], datetime]) -> None:
    rules, at = found
    opens = next_opening(rules, at)
    assert opens is None or allowed(rules, opens)
    minute, steps = at, 0
    while not allowed(rules, minute) and steps < 2880:
        minute, steps = minute + MINUTE, steps + 1
    if steps < 2880:
        assert opens == minute
    else:
        assert opens is None or opens >= minute


@long
@repeated
@FEW
@given(situations())
def test_the_next_spans_hold_exactly_the_open_minutes_until_the_last_one_ends(
    found: tuple[list[Rule], datetime],
) -> None:
    rules, at = found
    spans = next_openings(rules, at, most=3)
    known = spans[-1][1] if len(spans) == 3 else None
    for number in range(2880):
        minute = at + number * MINUTE
        if known is not None and minute >= known:
            break
        within = any(start <= minute and (end is None or minute < end) for start, end in spans)
        assert within == allowed(rules, minute), minute


def test_windows_close_from_their_first_day_and_open_no_more_after_their_last() -> None:
    first, last = date(2026, 12, 1), date(2026, 12, 10)
    window = Window(days=EVERY_DAY, start=time(10), end=time(17), zone=SEOUL, first=first, last=last)
    rule = Windows(name="a", windows=(window,))
    begins, ends = datetime(2026, 12, 1, tzinfo=SEOUL), datetime(2026, 12, 10, 17, tzinfo=SEOUL)
    before = begins - timedelta(days=100)
    assert next_openings([rule], before, most=2) == [
        (before, begins),
        (datetime(2026, 12, 1, 10, tzinfo=SEOUL), datetime(2026, 12, 1, 17, tzinfo=SEOUL)),
    ]
    assert next_openings([rule], ends, most=1) == []
    assert not rule.is_open(ends + timedelta(days=365))


@long
@repeated
@FEW
@given(situations())
def test_the_openings_of_a_day_hold_exactly_its_open_minutes(found: tuple[list[Rule], datetime]) -> None:
    rules, start = found
    end = start + timedelta(days=1)
    spans = openings(rules, start, end)
    assert all(left < right for left, right in spans)
    for number in range(1440):
        minute = start + number * MINUTE
        assert any(left <= minute < right for left, right in spans) == allowed(rules, minute)


def at(text: str, zone: ZoneInfo = SEOUL) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def hours(start: str, end: str, zone: ZoneInfo, days: frozenset[int] = EVERY_DAY) -> Windows:
    window = Window(days=days, start=time.fromisoformat(start), end=time.fromisoformat(end), zone=zone)
    return Windows(name="shop", windows=(window,))


def test_monday_in_seoul_is_not_sunday_in_greenwich() -> None:
    monday = hours("00:00", "09:00", SEOUL, frozenset({0}))
    assert monday.is_open(datetime(2026, 11, 22, 15, 0, tzinfo=UTC))
    assert not monday.is_open(datetime(2026, 11, 22, 14, 59, tzinfo=UTC))


def test_an_hour_that_spring_skips_opens_with_what_is_left_of_it() -> None:
    window = hours("02:30", "05:00", BERLIN)
    assert next_opening([window], at("2026-03-29T01:00", BERLIN)) == at("2026-03-29T03:00", BERLIN)
    skipped = hours("02:10", "02:50", BERLIN, frozenset({6}))
    assert next_opening([skipped], at("2026-03-29T00:00", BERLIN)) == at("2026-04-05T02:10", BERLIN)


def test_an_hour_that_autumn_repeats_opens_twice() -> None:
    spans = openings(
        [hours("01:15", "01:45", NEW_YORK)],
        at("2026-11-01T00:00", NEW_YORK),
        at("2026-11-01T06:00", NEW_YORK),
    )
    assert [(left.hour, left.minute) for left, _right in spans] == [(5, 15), (6, 15)]


def test_a_freeze_wins_over_an_open_window_and_both_name_themselves() -> None:
    window = hours("10:00", "17:00", SEOUL, frozenset({0, 1, 2, 3, 4}))
    freeze = Closing(
        id=7, name="연말", reason="정산", starts=at("2026-12-24T18:00"), ends=at("2027-01-02T09:00")
    )
    inside = evaluate([window, freeze], at("2026-12-28T11:00"))
    assert [closure.rule.name for closure in inside.closures] == ["연말"]
    assert inside.opens_at == at("2027-01-04T10:00")  # the second of January is a Saturday
    night = evaluate([window, freeze], at("2026-12-28T03:00"))
    assert {closure.rule.name for closure in night.closures} == {"연말", "shop"}


@long
def test_a_stopped_line_has_no_next_opening_and_rules_that_never_agree_have_none_either() -> None:
    stop = Closing(id=1, name="stop", reason="", starts=at("2026-11-01T00:00"), ends=None)
    assert evaluate([stop], at("2026-11-21T00:00")).opens_at is None
    never = [hours("10:00", "11:00", SEOUL), hours("12:00", "13:00", SEOUL)]
    assert next_opening(never, at("2026-11-21T00:00")) is None
