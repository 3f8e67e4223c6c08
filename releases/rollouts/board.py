"""The board as a page shows it: one row a service, one cell a stage, in groups of teams (screens.md 2.2)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection

from portal.reader import Reader
from releases.catalog.models import Environment, Stage
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
SELECT service.id, team.key, team.title, placed.environments,
       service.name, service.core, service.spec -> 'scale'
FROM (
    SELECT service_id, array_agg(environment_id) AS environments FROM catalog_service_environments
    WHERE environment_id = ANY(%s) GROUP BY service_id
) AS placed
JOIN catalog_service AS service ON service.id = placed.service_id
JOIN people_team AS team ON team.id = service.team_id
ORDER BY service.system COLLATE "C", service.core DESC, service.name COLLATE "C"
"""
# As little of each as a cell says, and the number of what last happened there.
SEEN = """
SELECT place.id, place.name, place.title, place.stage, coalesce(topic.last, 0) AS newest
FROM catalog_environment AS place LEFT JOIN live_topic AS topic ON topic.name = 'board.' || place.name
WHERE place.id = ANY(%s) ORDER BY place.name
"""


# What is listed of a service: its key, its team's key and title, the keys of the environments in which it
# runs, its name, whether it is a core service, and how many pods it may have, as JSON.
_Listed = tuple[int, str, str, list[int], str, bool, str | None]


class Shown(NamedTuple):
    """A service, as far as a board says it."""

    id: int
    name: str
    core: bool
    scale: dict[str, int] | None


@dataclass(frozen=True, kw_only=True)
class BoardRow:
    """A service with a cell for each stage; None where it does not run."""

    service: Shown
    cells: tuple[BoardCell | None, ...]


@dataclass(frozen=True, kw_only=True)
class Board:
    """One page of the rows that fit the filters, and the four counts over everything visible.

    Attributes:
        stage: the one that a phone shows; "" where nothing fits.
        stages: by each that it can show instead, how many services need somebody there.
        first: the rows that a phone shows before all others: what needs somebody, the worst first.
        above: the services that need somebody in that stage, whatever the page.
    """

    groups: tuple[tuple[str, tuple[BoardRow, ...]], ...]
    page: int
    pages: int
    counts: Mapping[str, int]
    teams: tuple[tuple[str, str], ...]
    stage: str
    stages: Mapping[str, int]
    first: tuple[BoardRow, ...]
    above: frozenset[int]

    @property
    def rows(self) -> list[BoardRow]:
        """Every row that is drawn."""
        return [*self.first, *(row for _title, rows in self.groups for row in rows)]


def environments_of(reader: Reader) -> list[Environment]:
    """What the board of a person is about."""
    return list(Environment.objects.raw(SEEN, [list(reader.once(environments_seen))]))


def board_page(
    environments: Sequence[Environment], *, team: str = "", show: str = "", page: int = 1, stage: str = ""
) -> Board:
    """Read one page of the board; core services first within a system.

    Only the cells of the page are read as a whole: a board of many services is drawn as soon as one of few.

    Args:
        environments: those that the person sees, by name.
        team: of which team, by its key; all without it.
        show: one of `FILTERS`, or all.
        page: which fifty of the services, from 1; one that is not there is the nearest that is.
        stage: which one a phone shows; the first that has something to show without it.
    """
    facts = Facts(environments)
    marks = facts.marks.filters()
    listed = _listed(environments)
    places = _Places(environments, listed)
    fitting = [
        each
        for each in listed
        if (not team or each[1] == team) and (show not in marks or places.have(each[0], marks[show]))
    ]
    pages = max(1, -(-len(fitting) // PAGE_SIZE))
    page = min(max(page, 1), pages)
    here = fitting[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    stage = places.stage(fitting, marks.get(show), wanted=stage)
    troubled = places.troubled(fitting, facts.marks.urgency())
    first = troubled.get(stage, [])[:PAGE_SIZE]
    facts.read([service for service, *_more in [*here, *first]])
    return Board(
        groups=_grouped(facts, here, places),
        page=page,
        pages=pages,
        counts={name: sum(map(places.has, keys)) for name, keys in marks.items()},
        teams=tuple(sorted({(key, title) for _service, key, title, *_more in listed})),
        stage=stage,
        stages={each: len(troubled.get(each, ())) for each in places.stages(fitting)},
        first=tuple(_row(facts, each, places) for each in first) if page == 1 else (),
        above=frozenset(service for service, *_more in first),
    )


def newest_events(environments: Sequence[Environment]) -> dict[str, int]:
    """By topic the number of what last happened in environments that `environments_of` read."""
    return {f"board.{each.name}": each.newest for each in environments}  # type: ignore[attr-defined]


def stale_in(board: Board, *, now: datetime) -> set[int]:
    """The environments of which something that is shown was seen too long ago to be believed."""
    believed = now - FRESH
    cells = [cell for row in board.rows for cell in row.cells if cell]
    return {cell.environment.id for cell in cells if (at := cell.seen_at) is not None and at < believed}


class _Places:
    """Which environment stands in which column of a service: the first by name of each stage.

    A second environment of a stage is on none of the board's pages.
    """

    def __init__(self, environments: Sequence[Environment], listed: Sequence[_Listed]) -> None:
        self._environments = [(each.id, each) for each in environments]
        self._listed = {service: places for service, _team, _title, places, *_more in listed}

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

    def stages(self, listed: Sequence[_Listed]) -> list[str]:
        """The stages in which one of these runs."""
        here = {place for _service, _team, _title, places, *_more in listed for place in places}
        found = {each.stage for key, each in self._environments if key in here}
        return [stage for stage in STAGES if stage in found]

    def stage(self, listed: Sequence[_Listed], keys: set[Key] | None, *, wanted: str) -> str:
        """The stage that a phone shows: the wanted one, else the first with one of the keys, if any has."""
        stages = self.stages(listed)
        if wanted in stages:
            return wanted
        marked = (
            {stage for service, *_more in listed for stage in self._marked(service, keys)} if keys else stages
        )
        return next((each for each in stages if each in marked), "")

    def _marked(self, service: int, keys: set[Key]) -> list[str]:
        return [stage for stage, each in self.of(service).items() if (service, each.id) in keys]

    def troubled(self, listed: Sequence[_Listed], urgency: Mapping[Key, int]) -> dict[str, list[_Listed]]:
        """By stage which of these need somebody there, the most urgent first."""
        by_service = {each[0]: each for each in listed}
        found: dict[str, list[_Listed]] = {}
        for service, place in sorted(urgency, key=lambda key: urgency[key]):
            for stage, each in self.of(service).items() if service in by_service else ():
                if each.id == place:
                    found.setdefault(stage, []).append(by_service[service])
        return found


def _listed(environments: Sequence[Environment]) -> list[_Listed]:
    """The services of the board in their order, with as little of each as that needs."""
    with connection.cursor() as cursor:
        cursor.execute(LISTED, [[each.pk for each in environments]])
        found: list[_Listed] = cursor.fetchall()
    return found


def _grouped(
    facts: Facts, listed: Sequence[_Listed], places: _Places
) -> tuple[tuple[str, tuple[BoardRow, ...]], ...]:
    """The rows of a page by the titles of their teams."""
    groups: dict[str, list[BoardRow]] = {}
    for each in listed:
        groups.setdefault(each[2], []).append(_row(facts, each, places))
    return tuple((title, tuple(rows)) for title, rows in groups.items())


def _row(facts: Facts, listed: _Listed, places: _Places) -> BoardRow:
    key, _team, _title, _places, name, core, scale = listed
    service = Shown(id=key, name=name, core=core, scale=json.loads(scale) if scale else None)
    placed = places.of(key)
    cells = (facts.cell(service, placed[stage]) if stage in placed else None for stage in STAGES)
    return BoardRow(service=service, cells=tuple(cells))
