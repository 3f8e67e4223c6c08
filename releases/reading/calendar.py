"""The calendar of a month or a week: what went out, is scheduled, is closed, is open, and what clashes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import combinations
from typing import Protocol
from zoneinfo import ZoneInfo

from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Greatest
from django.utils import timezone
from django.utils.translation import gettext as _

from approvals.calendar import queries as calendar
from approvals.calendar.models import EVERYWHERE, Freeze
from approvals.calendar.rules import Rule, openings
from portal import access, clock
from portal.people.models import User
from portal.ui import times
from releases import openings as release_openings
from releases.catalog.models import Environment, Stage
from releases.models import Release
from releases.openings import Kept
from releases.operating import plan_of
from releases.states import PENDING, ReleaseState

DAY = timedelta(days=1)
WEEK = 7
USUAL_MINUTES = 30
MOST_IN_A_MONTHS_DAY = 6


class Run(Protocol):
    """What of a rollout the calendar shows; the layer above has the model."""

    pk: int
    state: str
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A release on its day.

    Attributes:
        at: when it starts or started, or was meant to when it was composed.
        is_firm: whether the portal starts it then.
        run: its rollout, once it has one.
    """

    release: Release
    at: datetime
    is_firm: bool
    run: Run | None = None

    @property
    def seconds(self) -> float | None:
        """How long the rollout took; None where it runs still, or is ahead."""
        ended = self.run.ended_at if self.run else None
        return (ended - self.at).total_seconds() if ended else None


@dataclass(frozen=True, kw_only=True)
class Clash:
    """Why a release will not start as it is scheduled, or not alone."""

    text: str
    releases: tuple[Release, ...]


@dataclass(frozen=True, kw_only=True)
class Day:
    """A day on the viewer's clock, with what is on it.

    Attributes:
        is_past: whether it is over, so that only what happened is shown of it, not what windows say today.
        freezes: those that held or will, be they lifted since.
    """

    date: date
    start: datetime
    end: datetime
    is_today: bool
    is_past: bool
    is_other_month: bool
    entries: tuple[Entry, ...]
    freezes: tuple[Freeze, ...]

    @property
    def shown(self) -> tuple[Entry, ...]:
        """The first of a day's entries, as a month has room for them."""
        return self.entries[:MOST_IN_A_MONTHS_DAY]

    @property
    def more(self) -> int:
        """How many the month leaves to the week."""
        return len(self.entries) - len(self.shown)

    @property
    def is_empty(self) -> bool:
        """Whether a phone leaves it out."""
        return not (self.entries or self.freezes or self.is_today)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A day of an environment.

    Attributes:
        spans: when it is open, in words; empty when it is closed all day.
        is_open: whether it is open all day, so that nothing need be said.
    """

    day: Day
    spans: tuple[str, ...]
    is_open: bool
    entries: tuple[Entry, ...]

    @property
    def is_quiet(self) -> bool:
        """Whether a phone leaves it out."""
        return (self.is_open or self.day.is_past) and not self.entries


@dataclass(frozen=True, kw_only=True)
class Lane:
    """An environment over a week."""

    environment: Environment
    cells: tuple[Cell, ...]

    @property
    def is_quiet(self) -> bool:
        """Whether it is open at all times, with nothing on it."""
        return all(cell.is_quiet for cell in self.cells)


@dataclass(frozen=True, kw_only=True)
class View:
    """What the page shows of a span of days."""

    days: tuple[Day, ...]
    entries: tuple[Entry, ...]
    freezes: tuple[Freeze, ...]
    clashes: tuple[Clash, ...]

    @property
    def clashing(self) -> frozenset[int]:
        """The numbers of the releases that clash."""
        return frozenset(release.number for clash in self.clashes for release in clash.releases)

    @property
    def weeks(self) -> list[tuple[Day, ...]]:
        """The days in rows of seven."""
        return [self.days[at : at + WEEK] for at in range(0, len(self.days), WEEK)]


def month_around(day: date) -> tuple[date, date]:
    """The first and the last day of the whole weeks that hold a month."""
    first = day.replace(day=1)
    last = (first + 31 * DAY).replace(day=1) - DAY
    return first - first.weekday() * DAY, last + (WEEK - 1 - last.weekday()) * DAY


def week_around(day: date) -> tuple[date, date]:
    """Monday and Sunday of a week."""
    monday = day - day.weekday() * DAY
    return monday, monday + (WEEK - 1) * DAY


def view_of(user: User, first: date, last: date, *, month: int | None = None) -> View:
    """Read the calendar from one day to another, both among them, on the viewer's clock.

    Args:
        month: days of another one are dimmed.
    """
    zone = ZoneInfo(timezone.get_current_timezone_name())
    start, end = _midnight(first, zone), _midnight(last + DAY, zone)
    now = clock.now()
    entries = _entries(user, start, end)
    freezes = _freezes(user, start, end)
    days = tuple(
        _day(first + number * DAY, zone, entries, freezes, now=now, month=month)
        for number in range((last - first).days + 1)
    )
    found = tuple(clashes(entries, now=now))
    return View(days=days, entries=tuple(entries), freezes=tuple(freezes), clashes=found)


def lanes_of(user: User, view: View) -> list[Lane]:
    """The week of production, and of every other environment with windows, a freeze, or a release."""
    used = {entry.release.environment_id for entry in view.entries}
    frozen = {freeze.scope for freeze in view.freezes}
    standing = [freeze for freeze in view.freezes if freeze.lifted_at is None]
    environments = list(access.visible(user, Environment))
    windows = release_openings.windows_by(environments)
    found = []
    for environment in environments:
        own = release_openings.scope_of(environment.name)
        rules = rules_of(environment, windows[environment.name], standing)
        is_production = environment.stage == Stage.PRODUCTION
        if is_production or rules or environment.pk in used or own in frozen:
            found.append(Lane(environment=environment, cells=tuple(_cells(environment, rules, view.days))))
    return found


def clashes(entries: Sequence[Entry], *, now: datetime) -> list[Clash]:
    """What stands against releases that start by themselves: times that are closed, services they share."""
    firm = [entry for entry in entries if entry.is_firm and entry.at >= now]
    found = [
        Clash(text=f"{entry.release}: {missing['text']}", releases=(entry.release,))
        for entry in firm
        for missing in release_openings.missing_for(entry.release, at=entry.at)
    ]
    for one, other in combinations(firm, 2):
        shared = _services(one.release) & _services(other.release)
        if shared and one.release.environment_id == other.release.environment_id and _overlap(one, other):
            text = _("{one} and {other} change the same services at the same time: {names}.")
            names = ", ".join(sorted(shared))
            text = text.format(one=one.release, other=other.release, names=names)
            found.append(Clash(text=text, releases=(one.release, other.release)))
    return found


def _overlap(one: Entry, other: Entry) -> bool:
    """Whether the later begins before the earlier is expected to be over."""
    first, second = sorted((one, other), key=lambda entry: entry.at)
    spec = plan_of(first.release)
    minutes = int(spec.get("expectedMinutes") or USUAL_MINUTES)
    return second.at < first.at + timedelta(minutes=minutes)


def _services(release: Release) -> set[str]:
    return {item.service.name for item in release.items.all()}


def _entries(user: User, start: datetime, end: datetime) -> list[Entry]:
    """What went out, what is scheduled, and what was planned for a time, in the order of the times."""
    found = [*_ahead(user, start, end), *_gone_out(user, start, end)]
    return sorted(found, key=lambda entry: (entry.at, entry.release.number))


def _gone_out(user: User, start: datetime, end: datetime) -> Iterator[Entry]:
    """Every rollout that began in the span, those that run still among them."""
    began = Q(rollouts__started_at__gte=start, rollouts__started_at__lt=end)
    found = access.visible(user, Release).filter(pk__in=Release.objects.filter(began).values("pk"))
    for release in _drawn(found).prefetch_related("rollouts"):
        for run in release.rollouts.all():
            if run.started_at is not None and start <= run.started_at < end:
                yield Entry(release=release, at=run.started_at, is_firm=False, run=run)


def _drawn(releases: QuerySet[Release]) -> QuerySet[Release]:
    """With what an entry shows, and without what makes a release heavy."""
    return releases.select_related("environment", "author").defer(
        "content", "announcement", "environment__source"
    )


def _ahead(user: User, start: datetime, end: datetime) -> list[Entry]:
    """What is scheduled, and what was planned for a time while it was composed."""
    within = Q(scheduled_at__gte=start, scheduled_at__lt=end)
    planned = Q(scheduled_at=None, target_at__gte=start, target_at__lt=end)
    states = [ReleaseState.DRAFT, ReleaseState.SENT_BACK, *PENDING]
    found = access.visible(user, Release).filter(within | planned, state__in=states)
    rows = found.select_related("environment", "plan", "author").prefetch_related("items__service")
    return [
        Entry(release=each, at=at, is_firm=each.scheduled_at is not None)
        for each in rows
        if (at := each.scheduled_at or each.target_at) is not None
    ]


def _freezes(user: User, start: datetime, end: datetime) -> list[Freeze]:
    """Those that hold in the span or held, until they were lifted."""
    found = Freeze.objects.filter(Q(ends_at=None) | Q(ends_at__gt=start), starts_at__lt=end)
    held = Q(lifted_at=None) | Q(lifted_at__gt=Greatest(F("starts_at"), Value(start)))
    return calendar.seen_by(user, list(found.filter(held)))


def _day(
    day: date,
    zone: ZoneInfo,
    entries: Iterable[Entry],
    freezes: Iterable[Freeze],
    *,
    now: datetime,
    month: int | None,
) -> Day:
    start, end = _midnight(day, zone), _midnight(day + DAY, zone)
    return Day(
        date=day,
        start=start,
        end=end,
        is_today=start <= now < end,
        is_past=end <= now,
        is_other_month=month is not None and day.month != month,
        entries=tuple(entry for entry in entries if start <= entry.at < end),
        freezes=tuple(each for each in freezes if each.starts_at < end and start < _over(each, now=now)),
    )


def _over(freeze: Freeze, *, now: datetime) -> datetime:
    """When it is or was over; a stop is seen up to now, as nobody knows when it ends."""
    ends = freeze.ends_at or now
    return min(ends, freeze.lifted_at) if freeze.lifted_at else ends


def rules_of(environment: Environment, kept: Iterable[Kept], freezes: Iterable[Freeze]) -> list[Rule]:
    """What closes the environment for everybody: a freeze of one team leaves it open to others."""
    scopes = {EVERYWHERE, release_openings.scope_of(environment.name)}
    windows = release_openings.windows_of(environment, kept)
    closings = [calendar.closing_of(each) for each in freezes if each.scope in scopes]
    return [*([] if windows is None else [windows]), *closings]


def _cells(environment: Environment, rules: Sequence[Rule], days: Iterable[Day]) -> list[Cell]:
    cells = []
    for day in days:
        spans = [] if day.is_past else openings(rules, day.start, day.end)
        cells.append(
            Cell(
                day=day,
                spans=tuple(_span(left, right, day) for left, right in spans),
                is_open=spans == [(day.start, day.end)],
                entries=tuple(each for each in day.entries if each.release.environment_id == environment.pk),
            )
        )
    return cells


def _span(left: datetime, right: datetime, day: Day) -> str:
    """From when to when on the viewer's clock; the end of the day is twenty-four o'clock."""
    return f"{times.clock(left)}–{'24:00' if right == day.end else times.clock(right)}"


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)
