"""Where a freeze holds, and which roles answer for that place; the app that knows the rows says how."""

from collections.abc import Callable
from dataclasses import dataclass

from approvals.calendar.models import EVERYWHERE
from portal.people.models import User

KINDS = ("environment", "team", "service")


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a piece of work touches, by name."""

    environment: str
    teams: frozenset[str]
    services: frozenset[str]

    @property
    def scopes(self) -> frozenset[str]:
        """Every scope whose freezes hold here."""
        teams = {f"team:{key}" for key in self.teams}
        services = {f"service:{name}" for name in self.services}
        return frozenset({EVERYWHERE, f"environment:{self.environment}", *teams, *services})


@dataclass(frozen=True, kw_only=True)
class Map:
    """What the app that knows environments and services answers.

    Attributes:
        above: the scopes of roles that answer for the whole of a place, itself among them.
        within: the scopes of roles that answer for a part of it.
        is_seen: whether the person may know that the place is there.
    """

    above: Callable[[str], frozenset[str]]
    within: Callable[[str], frozenset[str]]
    is_seen: Callable[[User, str], bool]


_maps: list[Map] = []


def use(places: Map) -> None:
    """Name the app that knows the places; the last one named is asked."""
    _maps.append(places)


def above(scope: str) -> frozenset[str]:
    """The scopes of roles that answer for the whole of a place."""
    return frozenset({scope, EVERYWHERE}) | (frozenset() if scope == EVERYWHERE else _maps[-1].above(scope))


def within(scope: str) -> frozenset[str]:
    """The scopes of roles that answer for a part of a place or for the whole; everywhere has no parts."""
    return above(scope) | (frozenset() if scope == EVERYWHERE else _maps[-1].within(scope))


def is_seen(user: User, scope: str) -> bool:
    """Whether the person may know of the place."""
    return scope == EVERYWHERE or scope.startswith("team:") or _maps[-1].is_seen(user, scope)
