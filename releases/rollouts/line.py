"""The line in front of an environment: who waits for their turn, and for what.

One rollout at a time has a service; `concurrentRollouts` of an environment says how many of them it takes at
once, without it as many as their services allow. Who came later passes only those that wait for other
services. Behind a rollout that did not end well nobody begins by themselves: see `unsettled`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from portal import access
from portal.people.models import User
from portal.sentences import Text, joined, sentence
from releases.catalog.models import Environment
from releases.models import Item, Release
from releases.rollouts import unsettled
from releases.rollouts.models import Order, QueuePlace, Rollout, Step
from releases.rollouts.states import ACTIVE, GOES_ON, PlaceState, RolloutState

Each = TypeVar("Each", Rollout, int)


@dataclass(frozen=True, kw_only=True)
class Stand:
    """One start in the line.

    Attributes:
        place: its row; None for one that asks just now.
        number: which in the line, from 1.
        behind: rollouts that have its services.
        after: releases earlier in the line that wait for the same services.
        is_full: whether only the environment's room is lacking.
        unsettled: rollouts of its services that did not end well; where nobody presses anything it waits for
            them as well.
    """

    release: int
    place: QueuePlace | None
    number: int
    behind: tuple[Rollout, ...] = ()
    after: tuple[int, ...] = ()
    is_full: bool = False
    environment: str = ""
    unsettled: tuple[Rollout, ...] = ()

    @property
    def is_free(self) -> bool:
        """Whether nothing stands before it: a person may start it."""
        return not (self.behind or self.after or self.is_full)

    @property
    def is_due(self) -> bool:
        """Whether it begins by itself."""
        return self.is_free and not self.unsettled

    @property
    def in_the_way(self) -> tuple[Rollout, ...]:
        """The rollouts that it waits for."""
        return (*self.behind, *self.unsettled)

    @property
    def text(self) -> Text:
        """What it waits for where nobody starts it by hand, in words; "" where it is due."""
        before = [] if self.is_free else [self.behind_text]
        return joined([*before, *map(unsettled.text_of, self.unsettled)], between="; ")

    @property
    def behind_text(self) -> Text:
        """What stands before it, in words; "" where nothing does."""
        texts = [sentence(_("rollout {number}"), number=each.pk) for each in self.behind]
        texts += [sentence(_("release #{number}, which came before"), number=each) for each in self.after]
        if self.is_full and not texts:
            texts = [_full(self.environment)]
        return joined(texts, between=", ")


@dataclass
class _Walk:
    """The line as it is walked from its head: what is taken by those before."""

    environment: Environment
    moving: list[Rollout]
    had: dict[int, set[int]]
    wanted: dict[int, set[int]]
    limit: int | None
    left: dict[int, Rollout]
    holders: dict[int, list[Rollout]] = field(default_factory=dict)
    earlier: dict[int, list[int]] = field(default_factory=dict)
    taken: int = 0
    number: int = 0

    def __post_init__(self) -> None:
        self.taken = len(self.moving)
        for rollout in self.moving:
            for service in self.had.get(rollout.pk, ()):
                self.holders.setdefault(service, []).append(rollout)

    def stand(self, release: int, place: QueuePlace | None) -> Stand:
        """Put the next one into the line."""
        self.number += 1
        wanted = sorted(self.wanted.get(release, ()))
        behind = _unique(each for service in wanted for each in self.holders.get(service, ()))
        after = _unique(each for service in wanted for each in self.earlier.get(service, ()))
        is_full = self.limit is not None and self.taken >= self.limit
        left = _unique(self.left[service] for service in wanted if service in self.left)
        # Who may not begin keeps no room from others.
        if not behind and not after and not left:
            self.taken += 1
        for service in wanted:
            self.earlier.setdefault(service, []).append(release)
        return Stand(
            release=release,
            place=place,
            number=self.number,
            behind=behind,
            after=after,
            is_full=is_full and not behind and not after,
            environment=self.environment.name,
            unsettled=left,
        )


def _unique(found: Iterable[Each]) -> tuple[Each, ...]:
    return tuple(dict.fromkeys(found))


def limit_of(environment: Environment) -> int | None:
    """How many rollouts an environment takes at once; None for as many as their services allow."""
    value = environment.spec.get("concurrentRollouts")
    return int(value) if value else None


def stands_in(environment: Environment, *, newcomer: Release | None = None) -> list[Stand]:
    """Everybody in the line of an environment, from its head; the newcomer, who has no row yet, last."""
    places = QueuePlace.objects.filter(environment=environment, state=PlaceState.QUEUED)
    queued = list(places.select_related("release", "asked_by").order_by("pk"))
    moving = [each for each in _moving(environment) if newcomer is None or each.release_id != newcomer.pk]
    releases = [each.release_id for each in queued] + ([newcomer.pk] if newcomer else [])
    wanted = _wanted_by(releases)
    left = unsettled.in_the_way(environment, services=set().union(*wanted.values()), moving=moving)
    walk = _Walk(environment, moving, _had_by(moving), wanted, limit_of(environment), left)
    stands = [walk.stand(place.release_id, place) for place in queued]
    if newcomer is not None and newcomer.pk not in {each.release_id for each in queued}:
        stands.append(walk.stand(newcomer.pk, None))
    return stands


def visible_names(user: User) -> list[str]:
    """The names of the environments that a person may see."""
    return list(access.visible(user, Environment).order_by("name").values_list("name", flat=True))


def queued_environments(user: User) -> QuerySet[Environment]:
    """The environments in front of which somebody waits, among those that a person may see."""
    waiting = QueuePlace.objects.filter(state=PlaceState.QUEUED).values("environment")
    return access.visible(user, Environment).filter(pk__in=waiting).order_by("name")


def waiting_behind(rollout: Rollout) -> list[Stand]:
    """Those in the line that wait for this rollout, or for what becomes of it."""
    if not QueuePlace.objects.filter(environment=rollout.environment_id, state=PlaceState.QUEUED).exists():
        return []
    return [each for each in stands_in(rollout.environment) if rollout in (*each.behind, *each.unsettled)]


def stand_of(release: Release) -> Stand:
    """Where a release stands in its line, or would if it asked now."""
    stands = stands_in(release.environment, newcomer=release)
    return next(each for each in stands if each.release == release.pk)


def waits_text(release: Release) -> Text:
    """What a person's start of a release would have to wait for, in words; "" where it may begin."""
    return stand_of(release).behind_text


def busy_text(release: Release) -> Text:
    """The name of another release's rollout that moves these services, or was told to move them again."""
    found = [each for each in _moving(release.environment) if each.release_id != release.pk]
    own, had = _wanted_by([release.pk]).get(release.pk, set()), _had_by(found)
    other = next((each for each in found if had.get(each.pk, set()) & own), None)
    return sentence(_("rollout {number}"), number=other.pk) if other else ""


def full_text(rollout: Rollout) -> Text:
    """That its environment has no room left for it beside the others, in words; "" where it has."""
    limit = limit_of(rollout.environment)
    others = [each for each in _moving(rollout.environment) if each.pk != rollout.pk] if limit else []
    return _full(rollout.environment.name) if limit and len(others) >= limit else ""


def _full(environment: str) -> Text:
    return sentence(_("{environment} takes no more rollouts at once"), environment=environment)


def _moving(environment: Environment) -> Sequence[Rollout]:
    waking = Order.objects.filter(honoured_at=None, kind__in=GOES_ON)
    moving = Q(state__in=[*ACTIVE, RolloutState.PAUSED]) | Q(pk__in=waking.values("rollout"))
    return list(Rollout.objects.filter(moving, environment=environment).order_by("pk"))


def _had_by(rollouts: Iterable[Rollout]) -> dict[int, set[int]]:
    """The services that each of the rollouts moves."""
    steps = Step.objects.filter(rollout__in=list(rollouts), service__isnull=False)
    return _grouped(steps.values_list("rollout", "service").distinct())


def _wanted_by(releases: Iterable[int]) -> dict[int, set[int]]:
    """The services of each of the releases."""
    return _grouped(Item.objects.filter(release__in=list(releases)).values_list("release", "service"))


def _grouped(rows: Iterable[tuple[int, Any]]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for key, service in rows:
        found.setdefault(key, set()).add(service)
    return found
