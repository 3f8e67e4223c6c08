"""Times and spans in words: what the reader sees instead of a timestamp."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from math import ceil
from typing import NamedTuple

from django.conf import settings
from django.utils import timezone
from django.utils.translation import get_language, ngettext, pgettext
from django.utils.translation import gettext as _

from portal.sentences import WRITERS

MINUTE, HOUR, DAY = 60, 3600, 86400


def relative(moment: datetime, *, now: datetime) -> str:
    """Say how far a moment lies from now: "3 minutes ago", "in 2 hours".

    Seconds up to a minute, then whole minutes, then whole hours; days are never said this way.
    """
    seconds = int((now - moment).total_seconds())
    count, unit = _largest_unit(abs(seconds))
    return _ago(count, unit=unit) if seconds >= 0 else _ahead(count, unit=unit)


def absolute(moment: datetime, *, now: datetime) -> str:
    """Write a moment as day and clock time in the viewer's zone; the year only when it is another one."""
    return _dated(moment, this_year=timezone.localtime(now).year)


def _now_absolute(moment: datetime) -> str:
    return absolute(moment, now=timezone.now())


WRITERS.append(_now_absolute)


def _dated(moment: datetime, *, this_year: int) -> str:
    local = timezone.localtime(moment)
    parts = {
        "year": local.year,
        "month": _months()[local.month - 1],
        "day": local.day,
        "weekday": weekdays()[local.weekday()],
        "time": clock(moment),
    }
    if local.year != this_year:
        return pgettext("date", "%(weekday)s, %(day)d %(month)s %(year)d, %(time)s") % parts
    return pgettext("date", "%(weekday)s, %(day)d %(month)s, %(time)s") % parts


def clock(moment: datetime) -> str:
    """Write hours and minutes in the viewer's zone; a zone other than the company's is named."""
    local = timezone.localtime(moment)
    zone = "" if _is_home_zone(local) else f" {local:%Z}"
    return f"{local:%H:%M}{zone}"


def exact(moment: datetime) -> str:
    """Write a moment to the second with its zone, for the proof."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}"


class Written(NamedTuple):
    """A moment as pages show it; `relative` is "" where it is too far away to be said from now."""

    iso: str
    relative: str
    clock: str
    absolute: str


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Writes the moments of a page in the zone and the language that are active, which it names."""

    now: datetime
    this_year: int
    zone: tzinfo
    language: str

    def written(self, moment: datetime) -> Written:
        """Write a moment for a reader: "3 minutes ago (14:02)" within a day, else the date."""
        near = relative(moment, now=self.now) if is_near(moment, now=self.now) else ""
        # In UTC: to Python the two hours that a clock is put back over are equal in their own zone.
        said = _at(moment.astimezone(UTC), self.this_year, self.zone, self.language)
        return Written(moment.isoformat(), near, *said)


def writer(*, now: datetime) -> Writer:
    """Return what writes moments for the reader of now."""
    return Writer(
        now=now,
        this_year=timezone.localtime(now).year,
        zone=timezone.get_current_timezone(),
        language=get_language() or "",
    )


@lru_cache(maxsize=4096)
def _at(moment: datetime, this_year: int, zone: tzinfo, language: str) -> tuple[str, str]:  # noqa: ARG001  active
    """Clock time and date. Kept: pages say the same moments again and again, tables many at once."""
    return clock(moment), _dated(moment, this_year=this_year)


def written(moment: datetime, *, now: datetime) -> Written:
    """Write one moment for a reader."""
    return writer(now=now).written(moment)


def is_near(moment: datetime, *, now: datetime) -> bool:
    """Tell whether a moment is close enough to be said relative to now (within a day)."""
    return abs(now - moment) < timedelta(days=1)


def weekdays() -> list[str]:
    """Say the days of the week shortly, from Monday."""
    short = pgettext("weekdays from Monday, one word each", "Mon Tue Wed Thu Fri Sat Sun")
    return short.split()


def span(seconds: float) -> str:
    """Say how long something takes in at most two units; negative spans count as none."""
    whole = max(0, round(seconds))
    if whole < MINUTE:
        return _("%(n)d s") % {"n": whole}
    if whole < HOUR:
        return _two(whole, big=MINUTE, small=1, words=(_("%(n)d min"), _("%(n)d s")), until=10)
    if whole < DAY:
        return _two(whole, big=HOUR, small=MINUTE, words=(_("%(n)d h"), _("%(n)d min")), until=24)
    return _two(whole, big=DAY, small=HOUR, words=(_("%(n)d d"), _("%(n)d h")), until=7)


@dataclass(frozen=True, kw_only=True)
class Left:
    """The time left, or by how much something is late: `text` now, and the words for the minutes to come."""

    iso: str
    text: str
    left: str
    late: str


def left(moment: datetime, *, now: datetime) -> Left:
    """Say how long until a moment, in minutes begun, and once it has passed how late it is."""
    words = _("About {minutes} min left"), _("{minutes} min late")
    seconds = (moment - now).total_seconds()
    # Whoever has the page open counts on in the same way: times.js.
    text = words[seconds < 0].format(minutes=max(1, ceil(abs(seconds) / MINUTE)))
    return Left(iso=moment.isoformat(), text=text, left=words[0], late=words[1])


def _two(whole: int, *, big: int, small: int, words: tuple[str, str], until: int) -> str:
    count, rest = divmod(whole, big)
    first = words[0] % {"n": count}
    second = rest // small
    return f"{first} {words[1] % {'n': second}}" if second and count < until else first


def _largest_unit(seconds: int) -> tuple[int, str]:
    if seconds < MINUTE:
        return seconds, "second"
    if seconds < HOUR:
        return seconds // MINUTE, "minute"
    return seconds // HOUR, "hour"


def _ago(count: int, *, unit: str) -> str:
    words = {
        "second": ngettext("%(n)d second ago", "%(n)d seconds ago", count),
        "minute": ngettext("%(n)d minute ago", "%(n)d minutes ago", count),
        "hour": ngettext("%(n)d hour ago", "%(n)d hours ago", count),
    }
    return words[unit] % {"n": count}


def _ahead(count: int, *, unit: str) -> str:
    words = {
        "second": ngettext("in %(n)d second", "in %(n)d seconds", count),
        "minute": ngettext("in %(n)d minute", "in %(n)d minutes", count),
        "hour": ngettext("in %(n)d hour", "in %(n)d hours", count),
    }
    return words[unit] % {"n": count}


def _is_home_zone(local: datetime) -> bool:
    home = timezone.get_default_timezone()
    return local.utcoffset() == local.astimezone(home).utcoffset() and settings.USE_TZ


def _months() -> list[str]:
    short = pgettext("months, one word each", "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec")
    return short.split()
