"""What the report tells of incidents; the app that knows them lies above and counts them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class IncidentFigures:
    """What is known of some incidents; spans are in seconds, None where none was closed yet.

    Attributes:
        key: what they have in common: a system, or a Monday.
        ongoing: those of them that are open still.
        restore_seconds: the median from the opening to the end; whole_seconds: the same from when it began.
        longest_seconds: from the opening to the end of the one that took longest.
    """

    key: Any
    incidents: int = 0
    ongoing: int = 0
    restore_seconds: float | None = None
    whole_seconds: float | None = None
    longest_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class IncidentTables:
    """The incidents that were opened in a period; `weeks` holds every week of it."""

    total: IncidentFigures
    systems: Sequence[IncidentFigures]
    weeks: Sequence[IncidentFigures]


# By the name of a table: "total", "system" or "week". Filled by the app that knows the rows.
SOURCES: list[Callable[[str, Mapping[str, Any]], Sequence[IncidentFigures]]] = []


def incidents(parameters: Mapping[str, Any], mondays: Sequence[Any]) -> IncidentTables:
    """Count the incidents of a period.

    Args:
        parameters: of `Asked.parameters`.
        mondays: of every week that is shown.
    """
    total, systems, weeks = (_rows(table, parameters) for table in ("total", "system", "week"))
    of_weeks = {row.key: row for row in weeks}
    return IncidentTables(
        total=total[0] if total else IncidentFigures(key="all"),
        systems=systems,
        weeks=[of_weeks.get(monday, IncidentFigures(key=monday)) for monday in mondays],
    )


def _rows(table: str, parameters: Mapping[str, Any]) -> list[IncidentFigures]:
    return [row for count in SOURCES for row in count(table, parameters)]
