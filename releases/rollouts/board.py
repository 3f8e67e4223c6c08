"""The board as a page shows it: one row a service, one cell a stage, in groups of teams (screens.md 2.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from portal import access
from portal.people.models import User
from releases.catalog.models import Environment, Service, Stage
from releases.rollouts.queries import BoardCell, Facts, Key, places_of

STAGES = (Stage.PRODUCTION, Stage.STAGING, Stage.DEVELOPMENT)
# The watcher writes what it sees at least each minute; older values are shown as old.
FRESH = timedelta(seconds=180)
PAGE_SIZE = 50
FILTERS = ("degraded", "moving", "drift", "pinned")
# By service and stage.
Placed = dict[int, dict[str, Environment]]


class _Listed(NamedTuple):
    """A service of the board, and its team."""

    service: int
    team: str
    title: str


@dataclass(frozen=True, kw_only=True)
class BoardRow:
    """A service with a cell for each stage; None where it does not run."""

    service: Service
    cells: tuple[BoardCell | None, ...]


@dataclass(frozen=True, kw_only=True)
class Board:
    """One page of the rows that fit the filters, and the four counts over everything visible."""

    groups: tuple[tuple[str, tuple[BoardRow, ...]], ...]
    page: int
    pages: int
    counts: Mapping[str, int]
    teams: tuple[tuple[str, str], ...]


def environments_of(user: User) -> list[Environment]:
    """What the board of a person is about."""
    return list(access.visible(user, Environment).defer("source").order_by("name"))


def board_page(
    environments: Sequence[Environment], *, team: str = "", show: str = "", page: int = 1
) -> Board:
    """Read one page of the board; core services first within a system.

    Only the cells of the page are read as a whole: a board of many services is drawn as soon as one of few.

    Args:
        environments: those that the person sees, by name.
        team: of which team, by its key; all without it.
        show: one of `FILTERS`, or all.
        page: which fifty of the services, from 1; one that is not there is the nearest that is.
    """
    facts = Facts(environments)
    marks = facts.marked()
    placed = _placed(environments)
    listed = _listed(environments, placed)
    shown = [
        each
        for each in listed
        if (not team or each.team == team) and _fits(each.service, placed, marks.get(show))
    ]
    pages = max(1, -(-len(shown) // PAGE_SIZE))
    page = min(max(page, 1), pages)
    rows = _rows(facts, shown[(page - 1) * PAGE_SIZE : page * PAGE_SIZE], placed)
    return Board(
        groups=_grouped(rows),
        page=page,
        pages=pages,
        counts={name: sum(_has_cell(key, placed) for key in keys) for name, keys in marks.items()},
        teams=tuple(sorted({(each.team, each.title) for each in listed})),
    )


def is_stale(cell: BoardCell, *, now: datetime) -> bool:
    """Whether what is shown was seen too long ago to be believed."""
    return cell.seen_at is not None and now - cell.seen_at > FRESH


def _placed(environments: Sequence[Environment]) -> Placed:
    """By service the environment of each stage, the first by name."""
    services: dict[int, list[int]] = {}
    for service, environment in places_of(environments):
        services.setdefault(environment, []).append(service)
    found: Placed = {}
    for each in environments:
        for service in services.get(each.pk, ()):
            found.setdefault(service, {}).setdefault(each.stage, each)
    return found


def _has_cell(key: Key, placed: Placed) -> bool:
    """Whether the board shows this place; a second environment of a stage is on none of its pages."""
    service, environment = key
    return any(each.pk == environment for each in placed.get(service, {}).values())


def _listed(environments: Sequence[Environment], placed: Placed) -> list[_Listed]:
    """The services of the board in their order, with as little of each as that needs."""
    # The database finds them again sooner than the statement is written with hundreds of keys in it.
    here = Service.environments.through.objects.filter(environment__in=environments).values("service")
    rows = Service.objects.filter(pk__in=here).values_list(
        "pk", "system", "core", "name", "team__key", "team__title"
    )
    ordered = sorted(rows, key=lambda row: (row[1], not row[2], row[3]))
    # One that came between the two reads is there the next time.
    return [_Listed(row[0], row[4], row[5]) for row in ordered if row[0] in placed]


def _fits(service: int, placed: Placed, marks: set[Key] | None) -> bool:
    return marks is None or any((service, each.pk) in marks for each in placed[service].values())


def _rows(facts: Facts, listed: list[_Listed], placed: Placed) -> list[BoardRow]:
    keys = [each.service for each in listed]
    facts.read(keys)
    services = Service.objects.select_related("team").defer("source").in_bulk(keys)
    return [
        BoardRow(
            service=services[key],
            cells=tuple(
                facts.cell(services[key], placed[key][stage]) if stage in placed[key] else None
                for stage in STAGES
            ),
        )
        for key in keys
    ]


def _grouped(rows: list[BoardRow]) -> tuple[tuple[str, tuple[BoardRow, ...]], ...]:
    groups: dict[str, list[BoardRow]] = {}
    for row in rows:
        groups.setdefault(row.service.team.title, []).append(row)
    return tuple((title, tuple(group)) for title, group in groups.items())
