"""A whole system from environment to environment: what stands where, what may go on, what holds it back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.utils.translation import gettext as _

from portal import access
from portal.errors import NotFound
from portal.people.models import User
from portal.ui.looks import state_look
from releases import openings, stations
from releases.catalog.models import Environment, Service
from releases.models import Item, Release
from releases.rollouts.queries import BoardCell, Facts, places_of

PAGE_SIZE = 50
# By release and service.
Brought = dict[tuple[int, int], Item]


class Way(StrEnum):
    """How what runs in an environment stands to the next one."""

    THERE = "there"
    MOVING = "moving"
    FREE = "free"
    HELD = "held"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Onward:
    """What runs in one environment, seen from the next.

    Attributes:
        release: what can be carried there, or what carries it already; None where there is neither.
        reasons: what holds it back, in sentences.
    """

    environment: Environment
    way: Way
    release: Release | None = None
    reasons: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Stand:
    """A service in one environment of the row."""

    cell: BoardCell
    onward: Sequence[Onward]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A service with its place in each environment; None where it does not run."""

    service: Service
    stands: Sequence[Stand | None]


@dataclass(frozen=True, kw_only=True)
class Column:
    """An environment of the row, and what closes the whole of it now."""

    environment: Environment
    after: str
    closed: Sequence[str]


def systems_of(user: User) -> list[str]:
    """The systems of which a person sees an environment, by name."""
    return sorted(set(access.visible(user, Environment).values_list("system", flat=True)))


def columns_of(user: User, system: str) -> list[Column]:
    """The environments of a system that a person sees, in the order of their rows.

    Raises:
        NotFound: there is none; an unknown system and one that they may not see are told alike.
    """
    found = stations.in_rows(access.visible(user, Environment).filter(system=system))
    if not found:
        raise NotFound
    titles = {each.name: str(each) for each in found}
    return [
        Column(
            environment=each,
            after=titles.get(stations.before_of(each), ""),
            closed=openings.closed_now(each),
        )
        for each in found
    ]


def services_in(environments: Iterable[Environment]) -> list[int]:
    """The keys of the services that run in some of the environments."""
    return sorted({service for service, _environment in places_of(environments)})


def lines_of(environments: Sequence[Environment], services: Sequence[Service]) -> list[Line]:
    """What stands where of some services; as many queries for many of them as for few.

    Args:
        environments: those of one system, in the order of its rows.
    """
    facts = Facts(list(environments))
    facts.read([service.pk for service in services])
    placed = set(places_of(environments))
    cells = {
        (service.pk, environment.pk): facts.cell(service, environment)
        for service in services
        for environment in environments
        if (service.pk, environment.pk) in placed
    }
    brought = _brought(cells.values())
    held = {each.pk: _held_back(each, environments, brought) for each in environments}
    return [
        Line(
            service=service,
            stands=[
                _stand(cells[service.pk, each.pk], environments, cells, brought, held)
                if (service.pk, each.pk) in cells
                else None
                for each in environments
            ],
        )
        for service in services
    ]


def _held_back(target: Environment, among: Sequence[Environment], brought: Brought) -> dict[int, list[str]]:
    found = stations.held_back(_candidates(target, among, brought), target)
    return {item: [str(text) for text in texts] for item, texts in found.items()}


def _brought(cells: Iterable[BoardCell]) -> Brought:
    """The items by which what runs came, where a release brought it."""
    numbers = {cell.release for cell in cells if cell.release}
    items = Item.objects.filter(release__in=numbers).select_related("release__environment", "service")
    return {(item.release_id, item.service_id): item for item in items.defer("release__content")}


def _candidates(target: Environment, among: Sequence[Environment], brought: Brought) -> list[Item]:
    """What was brought to the environment before the target."""
    before = {each.pk for each in among if each.name == stations.before_of(target)}
    return [item for item in brought.values() if item.release.environment_id in before]


def _stand(
    cell: BoardCell,
    environments: Sequence[Environment],
    cells: dict[tuple[int, int], BoardCell],
    brought: Brought,
    held: dict[int, dict[int, list[str]]],
) -> Stand:
    item = brought.get((cell.release or 0, cell.service.id))
    following = [each for each in environments if stations.before_of(each) == cell.environment.name]
    return Stand(
        cell=cell,
        onward=[
            _onward(cell, cells[cell.service.id, each.pk], item, held[each.pk])
            for each in following
            if (cell.service.id, each.pk) in cells
        ],
    )


def _onward(cell: BoardCell, there: BoardCell, item: Item | None, held: dict[int, list[str]]) -> Onward:
    target = there.environment
    same = set(cell.digests)
    if same & set(there.digests):
        return Onward(environment=target, way=Way.THERE)
    if moving := _carrying(there, same):
        return Onward(environment=target, way=Way.MOVING, release=moving)
    if item is None or item.release.environment_id != cell.environment.pk:
        return Onward(
            environment=target, way=Way.NONE, reasons=[_("No release of the portal brought it here.")]
        )
    reasons = [*_unsettled(cell, item), *held.get(item.pk, [])]
    return Onward(
        environment=target, way=Way.HELD if reasons else Way.FREE, release=item.release, reasons=reasons
    )


def _carrying(there: BoardCell, digests: set[str]) -> Release | None:
    """The release that waits or moves there with one of the images."""
    found = [there.rollout.release, *there.pending] if there.rollout else [*there.pending]
    service = there.service.id
    return next(
        (
            release
            for release in found
            for item in release.items.all()
            if item.service_id == service and digests & {item.digest, *item.accepted}
        ),
        None,
    )


def _unsettled(cell: BoardCell, item: Item) -> list[str]:
    """What is not in order with it where it runs."""
    found = []
    if cell.digests and not set(cell.digests) & {item.digest, *item.accepted}:
        text = _("What runs in {environment} is not what #{number} brought.")
        found.append(text.format(environment=cell.environment, number=item.release_id))
    if item.release.state not in stations.PROVEN:
        text = _("#{number} in {environment}: {state}.")
        state = state_look(item.release.state).label
        found.append(text.format(number=item.release_id, environment=cell.environment, state=state))
    return found
