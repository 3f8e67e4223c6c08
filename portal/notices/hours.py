"""Hours of a person's own clock: when quiet ends, when the next digest is due, both clock changes included.

Clocks change at quarters of an hour, everywhere and as long as there are zones with whole offsets: looking
at each quarter is exact, where reckoning with offsets is not.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

QUARTER = timedelta(minutes=15)


def quiet_until(now: datetime, *, start: int, end: int, zone: ZoneInfo) -> datetime | None:
    """When the quiet around this moment ends; None outside of it.

    Args:
        start: the hour at which it begins on the person's clock.
        end: the hour at which it ends; before `start` it is one of the next day.
    """
    if not _is_quiet(now, start=start, end=end, zone=zone):
        return None
    return next(moment for moment in _quarters(now) if not _is_quiet(moment, start=start, end=end, zone=zone))


def next_digest(now: datetime, *, hour: int, zone: ZoneInfo) -> datetime:
    """The next moment at which the person's clock comes to this hour of a day, or passes over it."""
    day = _digest_day(now, hour=hour, zone=zone)
    return next(moment for moment in _quarters(now) if _digest_day(moment, hour=hour, zone=zone) > day)


def _is_quiet(moment: datetime, *, start: int, end: int, zone: ZoneInfo) -> bool:
    hour = moment.astimezone(zone).hour
    return start <= hour < end if start < end else hour >= start or hour < end


def _digest_day(moment: datetime, *, hour: int, zone: ZoneInfo) -> date:
    """The day whose digest was the last to be due."""
    local = moment.astimezone(zone)
    return local.date() if local.hour >= hour else local.date() - timedelta(days=1)


def _quarters(after: datetime) -> Iterator[datetime]:
    moment = after.replace(minute=after.minute // 15 * 15, second=0, microsecond=0)
    while True:
        moment += QUARTER
        yield moment
