"""Time zones by name, and times that people type on a wall clock."""

from datetime import UTC, date, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from django.utils.translation import gettext_lazy as _

from portal.errors import Invalid, field_error

# Days beyond have no equal in every zone, and nobody plans for them.
EARLIEST, LATEST = date(2000, 1, 1), date(2200, 1, 1)


@cache
def names() -> frozenset[str]:
    """Every zone that has a name of its own."""
    return frozenset(available_timezones()) - {"Factory", "localtime"}


def zone_named(name: str, *, field: str = "zone") -> ZoneInfo:
    """Return a zone.

    Raises:
        Invalid: there is none of this name.
    """
    if name not in names():
        text = _("There is no time zone {name}. Write one such as Asia/Seoul.")
        raise Invalid(missing=[field_error(field, text.format(name=name))])
    return ZoneInfo(name)


def moment_of(wall: datetime, zone: ZoneInfo, *, field: str, later: bool = False) -> datetime:
    """Return the moment at which the clock on the wall of a zone shows this.

    Args:
        wall: without a zone of its own.
        later: of an hour that comes twice the second; an end takes it, so that a freeze never ends too soon.

    Raises:
        Invalid: the clocks skip this hour on that day.
    """
    moment = wall.replace(tzinfo=zone, fold=int(later)).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) != wall:
        text = _("The clocks in {zone} skip this hour on that day.")
        raise Invalid(missing=[field_error(field, text.format(zone=zone.key))])
    return moment
