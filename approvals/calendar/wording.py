"""A window in words, such as "Mon Tue 10:00–17:00 Asia/Seoul (from 1 Dec)"."""

from datetime import date

from django.utils import formats
from django.utils.translation import gettext as _

from approvals.calendar.rules import Window
from portal.ui import times


def sentence_of(window: Window) -> str:
    """Say a window, with its first and last day where it has them."""
    days = " ".join(times.weekdays()[day] for day in sorted(window.days))
    text = f"{days} {window.start:%H:%M}–{window.end:%H:%M} {window.zone.key}"
    told = [
        *([_("from {day}").format(day=_day(window.first))] if window.first else []),
        *([_("until {day}").format(day=_day(window.last))] if window.last else []),
    ]
    return f"{text} ({', '.join(told)})" if told else text


def _day(day: date) -> str:
    return formats.date_format(day, "DATE_FORMAT")
