"""What every page says of the calendar: that the line is stopped, or that a freeze holds everywhere."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from approvals.calendar import queries
from approvals.calendar.live import TOPIC
from approvals.calendar.models import EVERYWHERE, Freeze
from portal import asked, clock
from portal.live.models import Topic
from portal.reader import Reader, reader_of


@dataclass(frozen=True, kw_only=True)
class Line:
    """The bar below the header.

    Attributes:
        stops: where the line stands, as far as the person may know.
        freeze: one that holds everywhere, where nothing worse is to be said.
        newest: the event number that the bar was drawn from.
    """

    stops: tuple[Freeze, ...] = ()
    freeze: Freeze | None = None
    newest: int = 0


def in_frame(request: HttpRequest) -> dict[str, object]:
    """Context processor: `line`, worked out only where a template shows it."""
    return {"line": SimpleLazyObject(lambda: _line(reader_of(request)))}


def newest_event() -> QuerySet[Topic, Any]:
    """Asks for the number of what last happened in the calendar."""
    return Topic.objects.filter(name=TOPIC).values("last")


def any_holding() -> QuerySet[Freeze, Any]:
    """Asks whether anything is frozen now; nearly always nothing is."""
    return queries.holding(clock.NOW).values("pk")


def _line(reader: Reader | None) -> Line:
    if reader is None:
        return Line()
    newest = asked.first(reader, newest_event) or 0
    if asked.first(reader, any_holding) is None:
        return Line(newest=newest)
    holding = list(queries.holding(asked.page_time(reader)).select_related("added_by"))
    stops = queries.seen_by(reader.user, [each for each in holding if each.is_stop])
    everywhere = [each for each in holding if each.scope == EVERYWHERE and not each.is_stop]
    return Line(stops=tuple(stops), freeze=next(iter(everywhere), None), newest=newest)
