"""The common forms of a cron line in words; the rest is left to the line itself."""

import re

from django.utils.translation import gettext as _

from portal.ui import times

EVERY_MINUTE = "*"
STEP = re.compile(r"\*/([1-9][0-9]*)")
# The week of cron begins with Sunday, which is 7 as well; that of `times.weekdays` with Monday.
DAYS_OF_WEEK = 7


def in_words(cron: str) -> str:
    """Say when a sound line is due, on the clock of its zone; "" where it has none of the common forms."""
    minute, hour, day, month, weekday = cron.split()
    if month != "*":
        return ""
    if (day, weekday) == ("*", "*") and hour == "*":
        return _within_the_hour(minute)
    if not minute.isdecimal():
        return ""
    if step := _step(hour, of=24):
        return _every_hours(step, minute) if (day, weekday) == ("*", "*") else ""
    return _at(f"{int(hour):02}:{int(minute):02}", day, weekday) if hour.isdecimal() else ""


def _within_the_hour(minute: str) -> str:
    if minute.isdecimal():
        return _every_hours(1, minute)
    step = 1 if minute == EVERY_MINUTE else _step(minute, of=60)
    if step == 1:
        return _("every minute")
    return _("every {count} minutes").format(count=step) if step else ""


def _every_hours(step: int, minute: str) -> str:
    text = _("hourly at :{minute:02}") if step == 1 else _("every {count} hours at :{minute:02}")
    return text.format(count=step, minute=int(minute))


def _at(time: str, day: str, weekday: str) -> str:
    if (day, weekday) == ("*", "*"):
        return _("daily at {time}").format(time=time)
    if day == "*":
        days = _weekdays(weekday)
        return _("weekly on {days} at {time}").format(days=days, time=time) if days else ""
    # On both it is due where either fits.
    is_one = weekday == "*" and day.isdecimal()
    return _("monthly on day {day} at {time}").format(day=int(day), time=time) if is_one else ""


def _weekdays(field: str) -> str:
    """The names of the days that are listed one by one or as ranges; "" where steps are among them."""
    names, found = times.weekdays(), []
    for part in field.split(","):
        first, _dash, last = part.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()):
            return ""
        found += [number % DAYS_OF_WEEK for number in range(int(first), int(last or first) + 1)]
    # Monday first, as people list them.
    return ", ".join(names[place] for place in sorted({(number - 1) % DAYS_OF_WEEK for number in found}))


def _step(field: str, *, of: int) -> int:
    """The step of a field that always has the same length; 0 where it has none."""
    found = STEP.fullmatch(field)
    step = int(found[1]) if found else 0
    return step if step and of % step == 0 else 0
