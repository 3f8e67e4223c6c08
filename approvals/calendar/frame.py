"""What every page says of the calendar: that the line is stopped, or that a freeze holds everywhere."""

from dataclasses import dataclass
from functools import partial

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from approvals.calendar import queries
from approvals.calendar.live import TOPIC
from approvals.calendar.models import EVERYWHERE, Freeze
from portal import clock
from portal.live.models import Topic
from portal.people.models import User


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
    return {"line": SimpleLazyObject(partial(_line, getattr(request, "user", None)))}


def _line(user: object) -> Line:
    if not isinstance(user, User):
        return Line()
    newest = Topic.objects.filter(name=TOPIC).values_list("last", flat=True).first() or 0
    found = queries.holding(clock.now()).select_related("added_by")
    # Asked on every page, and nearly always there is none.
    holding = list(found) if found.exists() else []
    stops = queries.seen_by(user, [each for each in holding if each.is_stop])
    everywhere = [each for each in holding if each.scope == EVERYWHERE and not each.is_stop]
    return Line(stops=tuple(stops), freeze=next(iter(everywhere), None), newest=newest)
