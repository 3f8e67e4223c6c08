"""Open or closed: windows, freezes and stops as pure rules over time; deny wins (product.md, "Decisions").

A window is open while the clock on the wall of its zone stands within it: an hour that a clock change
skips does not open, an hour that it repeats opens twice. Between two edges of the rules nothing changes, so
that the edges are all that has to be looked at.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
# A weekly hour that a clock change skips comes again a fortnight later at most.
REACH_DAYS = 16
# Further ahead nobody is told of an opening; it also ends the search where two rules are never open together.
HORIZON = timedelta(days=400)


@dataclass(frozen=True, kw_only=True)
class Window:
    """Hours of a week in which work may begin.

    Attributes:
        days: weekdays on which it opens, Monday is 0.
        start: on the wall clock of the zone.
        end: at or before `start`: on the day after.
        first: the day from which it has a say; before it, it neither opens nor closes anything.
        last: the last day on which it opens. It keeps its say: what nobody prolonged is closed, not open.
    """

    days: frozenset[int]
    start: time
    end: time
    zone: ZoneInfo
    first: date | None = None
    last: date | None = None

    @property
    def begins(self) -> datetime | None:
        """The moment from which it has a say; None where it always had."""
        return None if self.first is None else datetime.combine(self.first, time(), self.zone).astimezone(UTC)

    def has_say(self, at: datetime) -> bool:
        """Whether the first day has come."""
        return self.begins is None or at >= self.begins

    def is_open(self, at: datetime) -> bool:
        """Whether the wall clock stands within it."""
        wall = at.astimezone(self.zone)
        now, today = wall.time(), wall.date()
        if self.start < self.end:
            return self._opens_on(today) and self.start <= now < self.end
        return (self._opens_on(today) and now >= self.start) or (
            self._opens_on(today - DAY) and now < self.end
        )

    def _opens_on(self, day: date) -> bool:
        is_within = (self.first is None or self.first <= day) and (self.last is None or day <= self.last)
        return is_within and day.weekday() in self.days

    def edges(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Every moment from start to end at which it may open or close."""
        first, last = start.astimezone(self.zone).date() - DAY, end.astimezone(self.zone).date() + DAY
        for number in range((last - first).days + 1):
            yield from self._edges_of(first + number * DAY)

    def _edges_of(self, day: date) -> Iterator[datetime]:
        for wall in (self.start, self.end):
            for fold in (0, 1):
                yield datetime.combine(day, wall, self.zone).replace(fold=fold).astimezone(UTC)
        changed = clock_change(self.zone, day)
        if changed is not None:
            yield changed


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows of one place: it is open while one of them is.

    Attributes:
        name: whose windows they are.
    """

    name: str
    windows: tuple[Window, ...]
    id: None = None
    reason: str = ""

    def is_open(self, at: datetime) -> bool:
        """Whether one of the windows that have a say is open; where none has one yet it is open."""
        saying = [each for each in self.windows if each.has_say(at)]
        return not saying or any(each.is_open(at) for each in saying)

    def edges(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """The edges of all windows, and where one begins to have a say."""
        for each in self.windows:
            yield from each.edges(start, end)
            if each.begins is not None and start <= each.begins <= end:
                yield each.begins

    def opens(self, at: datetime) -> datetime | None:
        """The first moment from `at` on at which it is open."""
        return self._first(at, is_open=True)

    def closes(self, at: datetime) -> datetime | None:
        """The first moment from `at` on at which it is closed."""
        return self._first(at, is_open=False)

    def _first(self, at: datetime, *, is_open: bool) -> datetime | None:
        """Look as far as a weekly hour can be away, from now and from where a window begins to have a say."""
        if self.is_open(at) == is_open:
            return at
        begins = [each.begins for each in self.windows if each.begins is not None and each.begins > at]
        for origin in (at, *sorted(begins)):
            found = {origin, *self.edges(origin, origin + REACH_DAYS * DAY)}
            fitting = [edge for edge in found if edge > at and self.is_open(edge) == is_open]
            if fitting:
                return min(fitting)
        return None


@dataclass(frozen=True, kw_only=True)
class Closing:
    """A time in which nothing begins: a freeze, or without an end the line that was stopped."""

    id: int
    name: str
    reason: str
    starts: datetime
    ends: datetime | None

    def is_open(self, at: datetime) -> bool:
        """Whether it lies before or behind."""
        return at < self.starts or (self.ends is not None and at >= self.ends)

    def edges(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Where it begins and ends, if that is between."""
        yield from (edge for edge in (self.starts, self.ends) if edge is not None and start <= edge <= end)

    def opens(self, at: datetime) -> datetime | None:
        """The first moment from `at` on at which it does not hold."""
        return at if self.is_open(at) else self.ends

    def closes(self, at: datetime) -> datetime | None:
        """The first moment from `at` on at which it holds."""
        if at < self.starts:
            return self.starts
        return None if self.is_open(at) else at


Rule = Windows | Closing


@dataclass(frozen=True, kw_only=True)
class Closure:
    """A rule that says no, and until when by itself."""

    rule: Rule
    until: datetime | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Open, or closed by name.

    Attributes:
        closures: every rule that says no; empty when it is open.
        opens_at: the next moment at which all rules agree; None where none is in sight.
    """

    closures: tuple[Closure, ...] = field(default_factory=tuple)
    opens_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing says no."""
        return not self.closures


def evaluate(rules: Sequence[Rule], at: datetime) -> Verdict:
    """Say whether work may begin at a moment, and if not what forbids it and when it may next."""
    closed = [rule for rule in rules if not rule.is_open(at)]
    if not closed:
        return Verdict(opens_at=at)
    closures = tuple(Closure(rule=rule, until=rule.opens(at)) for rule in closed)
    return Verdict(closures=closures, opens_at=next_opening(rules, at))


def next_opening(rules: Sequence[Rule], at: datetime) -> datetime | None:
    """The first moment from `at` on at which every rule is open.

    Before a closed rule's own next opening no moment can be it, so the search leaps from one to the next.
    """
    moment, limit = at, at + HORIZON
    while closed := [rule for rule in rules if not rule.is_open(moment)]:
        leaps = [rule.opens(moment) for rule in closed]
        known = [leap for leap in leaps if leap is not None]
        if len(known) < len(leaps) or max(known) > limit:
            return None
        moment = max(known)
    return moment


def next_openings(
    rules: Sequence[Rule], at: datetime, *, most: int
) -> list[tuple[datetime, datetime | None]]:
    """The next spans in which every rule is open, the present one cut at `at`; None: without an end."""
    found: list[tuple[datetime, datetime | None]] = []
    moment: datetime | None = next_opening(rules, at)
    while moment is not None and len(found) < most:
        shuts = [shut for rule in rules if (shut := rule.closes(moment)) is not None]
        end = min(shuts, default=None)
        found.append((moment, end))
        moment = None if end is None else next_opening(rules, end)
    return found


def openings(rules: Sequence[Rule], start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """The spans between two moments in which every rule is open."""
    found: list[tuple[datetime, datetime]] = []
    edges = sorted({start, end, *_between(rules, start, end)})
    for left, right in pairwise(edges):
        if not all(rule.is_open(left) for rule in rules):
            continue
        goes_on = bool(found) and found[-1][1] == left
        found.append((found.pop()[0] if goes_on else left, right))
    return found


def _between(rules: Iterable[Rule], start: datetime, end: datetime) -> Iterator[datetime]:
    return (edge for rule in rules for edge in rule.edges(start, end) if start < edge < end)


def clock_change(zone: ZoneInfo, day: date) -> datetime | None:
    """The moment on a UTC day at which the zone's clocks change, if they do."""
    low = datetime.combine(day, time(), UTC)
    high = low + DAY
    before = low.astimezone(zone).utcoffset()
    if high.astimezone(zone).utcoffset() == before:
        return None
    while high - low > SECOND:
        middle = low + (high - low) // 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)
