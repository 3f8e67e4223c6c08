"""What a report is asked about: days in the reader's zone, team, service and environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django.utils import timezone

from portal import access, clock
from portal.people.models import User
from releases.catalog.models import Environment

USUAL_DAYS = 84
MOST_DAYS = 731
FIRST_DAY = date(2000, 1, 1)
LONGEST_NAME = 120


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The period, both days included, and what else must be true of what counts; "" means all."""

    start: date
    end: date
    team: str = ""
    service: str = ""
    environment: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Asked":
        """Read the query string; a day that is none counts as not said, and the usual twelve weeks apply.

        A period that is too long loses its beginning.
        """
        today = clock.now().astimezone(timezone.get_current_timezone()).date()
        end = min(_day(query.get("to", "")) or today, today)
        start = _day(query.get("from", "")) or end - timedelta(days=USUAL_DAYS - 1)
        return cls(
            start=max(min(start, end), end - timedelta(days=MOST_DAYS - 1)),
            end=end,
            team=_plain(query.get("team", "")),
            service=_plain(query.get("service", "")),
            environment=_plain(query.get("environment", "")),
        )

    @property
    def days(self) -> int:
        """How many days the period has."""
        return (self.end - self.start).days + 1

    @property
    def mondays(self) -> list[date]:
        """The Monday of every week that the period touches."""
        first = self.start - timedelta(days=self.start.weekday())
        return [first + timedelta(days=7 * week) for week in range((self.end - first).days // 7 + 1)]

    def address(self, **changes: object) -> str:
        """The query string of this with some of it changed."""
        words = {
            "from": self.start.isoformat(),
            "to": self.end.isoformat(),
            "team": self.team,
            "service": self.service,
            "environment": self.environment,
            **changes,
        }
        return "?" + urlencode({name: value for name, value in words.items() if value})

    def parameters(self, user: User) -> dict[str, Any]:
        """What the statements of `figures` and `waiting` are given: the reader's environments among it."""
        seen = access.visible(user, Environment)
        if self.environment:
            seen = seen.filter(name=self.environment)
        return {
            "environments": list(seen.values_list("pk", flat=True)),
            "zone": timezone.get_current_timezone_name(),
            "start": _midnight(self.start),
            "until": _midnight(self.end + timedelta(days=1)),
            "team": self.team,
            "service": self.service,
        }


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return max(found, FIRST_DAY)


def _plain(text: str) -> str:
    return text.replace("\x00", "").strip()[:LONGEST_NAME]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=timezone.get_current_timezone())
