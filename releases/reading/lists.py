"""The list of releases: filters from the address, pages of fifty, the newest first."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Q, QuerySet

from portal import access
from portal.live.models import Topic
from portal.people.models import User
from releases import queries
from releases.catalog.models import Environment
from releases.models import Release
from releases.reading.deadlines import Deadline, deadlines_of
from releases.states import ENDS, ReleaseState

S = ReleaseState
PAGE_SIZE = 50
TOP_SIZE = 20
LONGEST_SEARCH = 100
MOVING = (S.ROLLING_OUT, S.PAUSED, S.VERIFYING, S.SWITCHING, S.ROLLING_BACK, S.FAILED)
DECIDING = (S.IN_REVIEW, S.AWAITING_SIGNOFF, S.REVIEW_OWED)
READY = (S.APPROVED, S.SCHEDULED, S.SUBMITTED)
VIEWS: Mapping[str, Sequence[str]] = {
    "moving": MOVING,
    "deciding": DECIDING,
    "ready": READY,
    "drafts": (S.DRAFT, S.SENT_BACK),
    "over": (*sorted(ENDS), S.ANNOUNCED),
}


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What the address asks for; unknown words count as not said."""

    view: str = ""
    environment: str = ""
    grade: str = ""
    text: str = ""
    before: int | None = None

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Filters":
        """Read the query string."""
        view = query.get("view", "")
        before = query.get("before", "")
        grade = query.get("grade", "")
        return cls(
            view=view if view in {*VIEWS, "mine"} else "",
            environment=_plain(query.get("environment", "")),
            grade=grade if grade in [*"ABCDE"] else "",
            text=_plain(query.get("q", "")),
            before=_number(before),
        )

    @property
    def is_plain(self) -> bool:
        """Whether nothing is filtered and the page is the first."""
        return self == Filters()

    def address(self, **changes: object) -> str:
        """The query string of these filters with some of them changed; a new filter begins at the top."""
        words = {
            "view": self.view,
            "environment": self.environment,
            "grade": self.grade,
            "q": self.text,
            **changes,
        }
        return "?" + urlencode({name: value for name, value in words.items() if value})


@dataclass(frozen=True, kw_only=True)
class ReleasePage:
    """Rows with the number at which the next page begins, if there is one."""

    top: list[Release]
    rows: list[Release]
    next_before: int | None
    seen: dict[str, int]
    deadlines: dict[int, Deadline]


def release_page(user: User, filters: Filters) -> ReleasePage:
    """One page of what the person may see; the first plain page begins with what is theirs or moves."""
    found = _filtered(user, filters)
    if filters.before is not None:
        found = found.filter(number__lt=filters.before)
    top = _mine_and_moving(user) if filters.is_plain else []
    rows = list(found.exclude(number__in=[release.number for release in top])[: PAGE_SIZE + 1])
    more = rows[PAGE_SIZE - 1].number if len(rows) > PAGE_SIZE else None
    shown = [*top, *rows[:PAGE_SIZE]]
    return ReleasePage(
        top=top, rows=rows[:PAGE_SIZE], next_before=more, seen=_seen(shown), deadlines=deadlines_of(shown)
    )


def unseen(user: User, filters: Filters, shown: Collection[int]) -> int:
    """How many releases would stand on the first page by now besides those that it shows."""
    found = _filtered(user, filters).filter(number__gt=min(shown, default=0))
    numbers = list(found.values_list("number", flat=True)[: PAGE_SIZE + len(shown)])
    return len(set(numbers).difference(shown))


def numbers_in(text: str) -> list[int]:
    """The numbers of a list such as "7,12"; what is no number is left out."""
    found = (_number(word) for word in text.split(",")[: PAGE_SIZE + TOP_SIZE])
    return [number for number in found if number is not None]


def environments_of(user: User) -> list[Environment]:
    """The environments a person may see, production first within a system."""
    return list(access.visible(user, Environment).order_by("system", "stage", "name"))


def listed(user: User) -> QuerySet[Release]:
    """Visible releases with what a row shows."""
    return (
        access.visible(user, Release)
        .select_related("environment", "author", "approval_request")
        .prefetch_related("items__service")
        .defer("content", "announcement", "environment__source", "environment__spec")
    )


def newest_events(topics: Iterable[str]) -> dict[str, int]:
    """The highest event number of each topic, in one query."""
    names = list(topics)
    found = dict(Topic.objects.filter(name__in=names).values_list("name", "last"))
    return {name: found.get(name, 0) for name in names}


def newest_event(topic: str) -> int:
    """The highest event number of a topic; nought where nothing happened yet."""
    return Topic.objects.filter(name=topic).values_list("last", flat=True).first() or 0


def _filtered(user: User, filters: Filters) -> QuerySet[Release]:
    found = listed(user)
    if filters.view == "mine":
        found = found.filter(author=user)
    elif filters.view:
        found = found.filter(state__in=VIEWS[filters.view])
    if filters.environment:
        found = found.filter(environment__name=filters.environment)
    if filters.grade:
        found = found.filter(grade=filters.grade)
    if filters.text:
        found = found.filter(queries.found_by(filters.text))
    return found


def _mine_and_moving(user: User) -> list[Release]:
    mine = Q(author=user) & ~Q(state__in=[*ENDS, S.ANNOUNCED])
    return list(listed(user).filter(mine | Q(state__in=MOVING))[:TOP_SIZE])


def _seen(rows: Sequence[Release]) -> dict[str, int]:
    """The newest event of each row's topic, in one query."""
    names = {row.topic for row in rows}
    return dict(Topic.objects.filter(name__in=names).values_list("name", "last"))


def _plain(text: str) -> str:
    return text.replace("\x00", "").strip()[:LONGEST_SEARCH]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) <= queries.LARGEST_NUMBER else None
