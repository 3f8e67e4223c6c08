"""What a row of the board says, in plain values; rows that say the same are drawn once (screens.md 2.2).

A board is asked for far more often than one of its rows changes. Everything that a drawn row depends on is in
`RowSaid`, the words of its times included, or in the language: nothing else reaches the template.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from portal.ui.times import Writer, Written
from releases.rollouts.board import BoardRow
from releases.rollouts.marks import Key
from releases.rollouts.queries import BoardCell

# About two kilobytes each: ten pages of fifty.
KEPT = 500
DEGRADED = "degraded"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What besides its own facts decides how a row looks.

    Attributes:
        incidents: the numbers of the open ones, by service and environment.
        operable: the environments in which the person may open one.
        composable: the services that the person may release.
        stale: the environments of which something shown was seen too long ago.
        stages: what the stages are called in the reader's language.
        stage: the one that a phone shows.
        above: the services that a phone shows before all others.
        writer: writes the times, as of the page's.
    """

    incidents: Mapping[Key, int]
    operable: Collection[int]
    composable: Collection[int]
    stale: Collection[int]
    stages: Mapping[str, str]
    stage: str
    above: Collection[int]
    writer: Writer


class DifferenceSaid(NamedTuple):
    """What runs unapproved."""

    text: str
    finding: int | None
    state: str


class CellSaid(NamedTuple):
    """A cell; `rollout` is its key, release and state, `seen` is when a stale one was seen.

    A phone shows only what is `here`.
    """

    environment: str
    stage: str
    here: bool
    health: str
    version: str
    since: Written | None
    rollout: tuple[int, int, str] | None
    pending: tuple[tuple[int, str], ...]
    drift: DifferenceSaid | None
    pinned: bool
    text: str
    incident: int | None
    openable: bool
    stale: bool
    seen: Written | None


class RowSaid(NamedTuple):
    """A row; None for a stage in which the service does not run. The number marks its tick, which stays.

    What needs somebody is drawn `first` as well, for phones; a phone shows only what is `here`.
    """

    number: int
    service: str
    core: bool
    composable: bool
    first: bool
    here: bool
    cells: tuple[CellSaid | None, ...]


def row_said(row: BoardRow, around: Surroundings, *, first: bool = False) -> RowSaid:
    """Say in the reader's words what the row shows.

    Args:
        first: it stands among those that a phone shows before all others.
    """
    runs_here = any(cell and cell.environment.stage == around.stage for cell in row.cells)
    return RowSaid(
        number=row.service.id,
        service=row.service.name,
        core=row.service.core,
        composable=row.service.id in around.composable,
        first=first,
        here=first or (runs_here and row.service.id not in around.above),
        cells=tuple(_cell_said(cell, around) if cell else None for cell in row.cells),
    )


@lru_cache(maxsize=KEPT)
def drawn(said: RowSaid, language: str) -> SafeString:  # noqa: ARG001  the template speaks it
    """Draw the row in the language that is active."""
    return render_to_string("board/_row.html", {"row": said})


def _cell_said(cell: BoardCell, around: Surroundings) -> CellSaid:
    place = cell.environment.id
    health, since = cell.health, cell.since
    is_degraded, is_stale = health == DEGRADED, place in around.stale
    incident = around.incidents.get((cell.service.id, place))
    rollout = cell.rollout
    return CellSaid(
        environment=cell.environment.name,
        stage=around.stages[cell.environment.stage],
        here=cell.environment.stage == around.stage,
        health=health,
        version=cell.version,
        since=around.writer.written(since) if since else None,
        rollout=(rollout.pk, rollout.release_id, rollout.state) if rollout else None,
        pending=tuple((each.number, each.state) for each in cell.pending),
        drift=_difference_said(cell) if cell.drift else None,
        pinned=cell.pinned,
        text=cell.text if is_degraded else "",
        incident=incident,
        openable=is_degraded and incident is None and place in around.operable,
        stale=is_stale,
        seen=around.writer.written(cell.seen_at) if cell.seen_at and is_stale else None,
    )


def _difference_said(cell: BoardCell) -> DifferenceSaid:
    finding = cell.finding
    return DifferenceSaid(cell.difference, finding.pk if finding else None, finding.state if finding else "")
