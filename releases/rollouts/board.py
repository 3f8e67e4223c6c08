"""The board as a page shows it: one row a service, one cell a stage, in groups of teams (screens.md 2.2)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from releases.catalog.models import Service, Stage
from releases.rollouts.queries import BoardCell
from releases.rollouts.states import FindingState

STAGES = (Stage.PRODUCTION, Stage.STAGING, Stage.DEVELOPMENT)
# The watcher writes what it sees at least each minute; older values are shown as old.
FRESH = timedelta(seconds=180)
FILTERS = ("degraded", "moving", "drift", "pinned")


@dataclass(frozen=True, kw_only=True)
class BoardRow:
    """A service with a cell for each stage; None where it does not run."""

    service: Service
    cells: tuple[BoardCell | None, ...]


@dataclass(frozen=True, kw_only=True)
class Board:
    """The rows that fit the filters, and the four counts over everything visible."""

    groups: tuple[tuple[str, tuple[BoardRow, ...]], ...]
    counts: Mapping[str, int]
    teams: tuple[tuple[str, str], ...]


def arrange(cells: Iterable[BoardCell], *, team: str = "", show: str = "") -> Board:
    """Arrange cells for the page; core services first within a team."""
    found = list(cells)
    rows = _rows(found)
    shown = [row for row in rows if (not team or row.service.team.key == team) and _fits(row, show)]
    return Board(
        groups=_grouped(shown),
        counts={name: sum(matches(cell, name) for cell in found) for name in FILTERS},
        teams=tuple(sorted({(row.service.team.key, row.service.team.title) for row in rows})),
    )


def matches(cell: BoardCell, name: str) -> bool:
    """Whether a cell is one of those that a filter counts."""
    return {
        "degraded": cell.health == "degraded",
        "moving": cell.rollout is not None,
        "drift": cell.drift is not None and not is_explained(cell),
        "pinned": cell.pinned,
    }[name]


def is_explained(cell: BoardCell) -> bool:
    """Whether somebody said why something else runs there for now."""
    return cell.finding is not None and cell.finding.state == FindingState.EXPLAINED


def is_stale(cell: BoardCell, *, now: datetime) -> bool:
    """Whether what is shown was seen too long ago to be believed."""
    return cell.seen_at is not None and now - cell.seen_at > FRESH


def _rows(cells: list[BoardCell]) -> list[BoardRow]:
    services: dict[int, Service] = {}
    places: dict[int, dict[str, BoardCell]] = {}
    for cell in cells:
        services.setdefault(cell.service.pk, cell.service)
        places.setdefault(cell.service.pk, {}).setdefault(cell.environment.stage, cell)
    ordered = sorted(services.values(), key=lambda each: (each.system, not each.core, each.name))
    return [
        BoardRow(service=each, cells=tuple(places[each.pk].get(stage) for stage in STAGES))
        for each in ordered
    ]


def _fits(row: BoardRow, show: str) -> bool:
    if show not in FILTERS:
        return True
    return any(cell is not None and matches(cell, show) for cell in row.cells)


def _grouped(rows: list[BoardRow]) -> tuple[tuple[str, tuple[BoardRow, ...]], ...]:
    groups: dict[str, list[BoardRow]] = {}
    for row in rows:
        groups.setdefault(row.service.team.title, []).append(row)
    return tuple((title, tuple(group)) for title, group in groups.items())
