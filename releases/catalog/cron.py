"""When a schedule is due: five fields of cron, read from the clock on the wall of a zone. Pure."""

import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import CroniterBadCronError, CroniterBadDateError, croniter

# Numbers, lists, ranges and steps; the library knows more, which no two programs read alike.
FIVE_FIELDS = re.compile(r"[0-9*,/-]+(?: [0-9*,/-]+){4}")
HOUR = 1
# Longer than any clock change: past this, walls and moments have the same order.
SHIFT = timedelta(hours=3)
# From here on a schedule is asked whether it is ever due.
SOME_DAY = datetime(2024, 1, 1)  # noqa: DTZ001  the clock on a wall


def is_sound(cron: str) -> bool:
    """Whether it is five fields that a day will come to; 31 February never does."""
    if not FIVE_FIELDS.fullmatch(cron):
        return False
    try:
        croniter(cron, SOME_DAY).get_next(datetime)
    except (CroniterBadCronError, CroniterBadDateError):
        return False
    return True


def next_time(cron: str, zone: ZoneInfo, after: datetime) -> datetime:
    """Return the first moment after `after` at which it is due.

    What falls into an hour that a clock change skips is due as long after the change; of an hour that comes
    twice only what runs every hour is due twice.
    """
    found: set[datetime] = set()
    for wall in _walls(cron, _wall(after, zone) - SHIFT, backward=False):
        if found and wall > _wall(min(found), zone) + SHIFT:
            break
        found |= {each for each in _moments(cron, wall, zone) if each > after}
    return min(found)


def last_times(cron: str, zone: ZoneInfo, *, since: datetime, until: datetime, most: int) -> list[datetime]:
    """Return when it was due from `since` to `until`, both included, in order; the newest `most` of them."""
    found: set[datetime] = set()
    for wall in _walls(cron, _wall(until, zone) + SHIFT, backward=True):
        first = sorted(found, reverse=True)[most - 1 : most]
        if wall < _wall(max([since, *first]), zone) - SHIFT:
            break
        found |= {each for each in _moments(cron, wall, zone) if since <= each <= until}
    return sorted(found)[-most:]


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def _walls(cron: str, start: datetime, *, backward: bool) -> Iterator[datetime]:
    times = croniter(cron, start)
    step = times.get_prev if backward else times.get_next
    return (step(datetime) for _each in itertools.count())  # type: ignore[no-untyped-call]


def _moments(cron: str, wall: datetime, zone: ZoneInfo) -> set[datetime]:
    """The moments that the wall's time stands for; of a skipped one the moment that it would have been."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    comes_twice = second > first
    every_hour = cron.split()[HOUR].startswith("*")
    return {first, second} if comes_twice and every_hour else {first}
