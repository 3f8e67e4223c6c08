"""The board as a page shows it: one row a service, one cell a stage, in groups of teams (screens.md 2.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from portal.reader import Reader
from releases.catalog.models import Environment, Service, Stage
from releases.catalog.queries import environments_seen
from releases.rollouts.marks import Key
from releases.rollouts.queries import BoardCell, Facts

STAGES = (Stage.PRODUCTION, Stage.STAGING, Stage.DEVELOPMENT)
# The watcher writes what it sees at least each minute; older values are shown as old.
FRESH = timedelta(seconds=180)
PAGE_SIZE = 50
FILTERS = ("degraded", "moving", "drift", "pinned")
# Core services come first within a system; names stand in the order of their letters in every database.
LISTED = """
SELECT service.id, team.key, team.title, array_agg(placed.environment_id)
FROM catalog_service_environments AS placed
JOIN catalog_service AS service ON service.id = placed.service_id
JOIN people_team AS team ON team.id = service.team_id
WHERE placed.environment_id = ANY(%s)
GROUP BY service.id, team.id
ORDER BY service.system COLLATE "C", service.core DESC, service.name COLLATE "C"
"""
# As little of each as a row says.
SHOWN = "SELECT id, name, core, spec FROM catalog_service WHERE id = ANY(%s)"


# A service of the board, its team's key and title, and the environments in which it runs.
_Listed = tuple[int, str, str, list[int]]


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


def environments_of(reader: Reader) -> list[Environment]:
    """What the board of a person is about."""
    seen = Environment.objects.filter(pk__in=reader.once(environments_seen))
    return list(seen.only("name", "title", "stage").order_by("name"))


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
    marks = facts.marks.filters()
    listed = _listed(environments)
    places = _Places(environments, listed)
    shown = [
        (service, title)
        for service, key, title, _places in listed
        if (not team or key == team) and (show not in marks or places.have(service, marks[show]))
    ]
    pages = max(1, -(-len(shown) // PAGE_SIZE))
    page = min(max(page, 1), pages)
    return Board(
        groups=_grouped(facts, shown[(page - 1) * PAGE_SIZE : page * PAGE_SIZE], places),
        page=page,
        pages=pages,
        counts={name: sum(map(places.has, keys)) for name, keys in marks.items()},
        teams=tuple(sorted({(key, title) for _service, key, title, _places in listed})),
    )


def is_stale(cell: BoardCell, *, now: datetime) -> bool:
    """Whether what is shown was seen too long ago to be believed."""
    return cell.seen_at is not None and now - cell.seen_at > FRESH


class _Places:
    """Which environment stands in which column of a service: the first by name of each stage.

    A second environment of a stage is on none of the board's pages.
    """

    def __init__(self, environments: Sequence[Environment], listed: Sequence[_Listed]) -> None:
        self._environments = [(each.id, each) for each in environments]
        self._listed = {service: places for service, _team, _title, places in listed}

    def of(self, service: int) -> dict[str, Environment]:
        """The environments of a service by stage."""
        here = self._listed.get(service, ())
        found: dict[str, Environment] = {}
        for key, each in self._environments:
            if key in here:
                found.setdefault(each.stage, each)
        return found

    def has(self, key: Key) -> bool:
        """Whether the board shows this cell."""
        service, environment = key
        return any(each.id == environment for each in self.of(service).values())

    def have(self, service: int, keys: set[Key]) -> bool:
        """Whether one of these is a cell of the service."""
        return any((service, each.id) in keys for each in self.of(service).values())


def _listed(environments: Sequence[Environment]) -> list[_Listed]:
    """The services of the board in their order, with as little of each as that needs."""
    with connection.cursor() as cursor:
        cursor.execute(LISTED, [[each.pk for each in environments]])
        found: list[_Listed] = cursor.fetchall()
    return found


def _grouped(
    facts: Facts, shown: Sequence[tuple[int, str]], places: _Places
) -> tuple[tuple[str, tuple[BoardRow, ...]], ...]:
    """The rows of a page, services with the titles of their teams, by those."""
    keys = [key for key, _title in shown]
    facts.read(keys)
    services = {each.pk: each for each in Service.objects.raw(SHOWN, [keys])}
    groups: dict[str, list[BoardRow]] = {}
    for key, title in shown:
        # One that went between the two reads is not there the next time.
        if service := services.get(key):
            groups.setdefault(title, []).append(_row(facts, service, places.of(key)))
    return tuple((title, tuple(rows)) for title, rows in groups.items())


def _row(facts: Facts, service: Service, placed: Mapping[str, Environment]) -> BoardRow:
    cells = (facts.cell(service, placed[stage]) if stage in placed else None for stage in STAGES)
    return BoardRow(service=service, cells=tuple(cells))
