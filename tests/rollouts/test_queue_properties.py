"""Whoever asks, leaves and ends in whatever order: the line keeps its order and its room, and it empties.

Who came later passes only those that wait for other services; no service has two rollouts, and no environment
more than it says, retries included; behind a rollout that did not end well nothing begins by itself.
The rules of a start are another matter: here they say no only to who is spoiled.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from portal import clock
from portal.actors import Actor
from portal.errors import Conflict
from releases import start
from releases.catalog.models import Plan, Service
from releases.models import Item, Release
from releases.rollouts import line, operations, queueing
from releases.rollouts.models import QueuePlace, Rollout
from tests.factories import Shop, digest_for
from tests.people import acting
from tests.soak import examples, long

SERVICES = ("shopping-service", "payment-service", "auth-service")
MOVING = ("queued", "running")
LEFT = ("failed", "stopped", "rollback_failed")
ACTS = ("ask", "ask", "ask", "end", "fail", "stop", "sweep", "sweep", "leave", "retry", "settle", "press")


@dataclass
class Street:
    """An environment, and who asked to begin there.

    Attributes:
        wants: by release its services, in the order of asking.
        spoiled: releases that may not start when their turn comes.
    """

    shop: Shop
    limit: int | None
    wants: dict[int, frozenset[str]] = field(default_factory=dict)
    spoiled: set[int] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)

    def ask(self, services: Iterable[str], *, spoiled: bool) -> None:
        """Somebody presses start; a spoiled one may not any more when its turn has come."""
        release = self._approved(services)
        self.wants[release.pk] = frozenset(services)
        queueing.ask_start(release.pk, actor=self.actor)
        if spoiled and release.pk in self.waiting():
            self.spoiled.add(release.pk)

    def end(self) -> None:
        """The oldest rollout is over."""
        self._become("succeeded", of=MOVING)

    def fail(self) -> None:
        """The oldest rollout was measured bad."""
        self._become("failed", of=MOVING)

    def stop(self) -> None:
        """Somebody stops the oldest rollout."""
        self._become("stopped", of=MOVING)

    def settle(self) -> None:
        """The oldest one that did not end well is rolled back; no pin is set, so that the line goes on."""
        self._become("rolled_back", of=LEFT)

    def retry(self) -> None:
        """Somebody retries the oldest one that failed, as far as others leave it room."""
        failed = self._oldest(("failed",))
        if failed is None:
            return
        step = failed.steps.order_by("pk")[0]
        step.state = "failed"
        step.save(update_fields=["state"])
        try:
            operations.give_order(failed.pk, "retry", actor=self.actor, step_id=step.pk)
        except Conflict:
            return
        failed.orders.update(honoured_at=clock.now())
        self._become("running", of=("failed",))

    def press(self) -> None:
        """Somebody starts by hand what waits at the head of the line, where that is possible."""
        for release in self.waiting()[:1]:
            with contextlib.suppress(Conflict):
                queueing.ask_start(release, actor=self.actor)

    def _become(self, state: str, *, of: Iterable[str]) -> None:
        oldest = self._oldest(of)
        if oldest is not None:
            Rollout.objects.filter(pk=oldest.pk).update(state=state)

    def _oldest(self, states: Iterable[str]) -> Rollout | None:
        found = Rollout.objects.filter(state__in=list(states), release__in=self.wants)
        return found.order_by("pk").first()

    @property
    def actor(self) -> Actor:
        """Somebody who may do all of this."""
        return acting(self.shop.cast.author)

    def leave(self) -> None:
        """Somebody in the line has it taken out."""
        place = QueuePlace.objects.filter(state="queued", release__in=self.wants).order_by("-pk").first()
        if place is not None:
            queueing.leave(place.pk, actor=self.actor)

    def sweep(self) -> None:
        """Sweep until nothing moves any more; then nobody waits for nothing, or began behind trouble."""
        left, moved_before, before = self.left(), self.moving(), None
        while before != (before := (self.waiting(), self.moving())):
            queueing.begin_due()
        self.broken += [f"{each.release} waits for nothing" for each in self._line() if each.is_due]
        self.broken += [
            f"{each} began by itself behind trouble"
            for each in set(self.moving()) - set(moved_before)
            if self.wants[each] & left
        ]

    def moving(self) -> list[int]:
        """The releases that roll out."""
        found = Rollout.objects.filter(state__in=MOVING, release__in=self.wants)
        return list(found.order_by("pk").values_list("release", flat=True))

    def begun(self) -> list[int]:
        """The releases that roll out, or did: who is retried passes nobody."""
        return list(Rollout.objects.filter(release__in=self.wants).values_list("release", flat=True))

    def waiting(self) -> list[int]:
        """The releases that wait, from the head of the line."""
        found = QueuePlace.objects.filter(state="queued", release__in=self.wants)
        return list(found.order_by("pk").values_list("release", flat=True))

    def left(self) -> set[str]:
        """The services whose newest rollout did not end well."""
        rollouts = Rollout.objects.filter(release__in=self.wants).order_by("pk")
        newest = {service: each.state for each in rollouts for service in self.wants[each.release_id]}
        return {service for service, state in newest.items() if state in LEFT}

    def check(self, begun_before: list[int]) -> None:
        """Hold what is there now to the promises."""
        moving, waiting = self.moving(), self.waiting()
        had = [service for each in moving for service in self.wants[each]]
        if len(had) != len(set(had)):
            self.broken.append(f"two rollouts have one service: {moving}")
        if self.limit is not None and len(moving) > self.limit:
            self.broken.append(f"more than {self.limit}: {moving}")
        self.broken += [
            f"{later} passed {earlier}"
            for later in set(moving) - set(begun_before)
            for earlier in waiting
            if earlier < later and self._is_passed(earlier, later, moving, waiting)
        ]

    def _is_passed(self, earlier: int, later: int, moving: list[int], waiting: list[int]) -> bool:
        """Whether the later one took a service or the room that the earlier one waits for."""
        before = [each for each in waiting if each < earlier]
        had = {service for each in [*moving, *before] for service in self.wants[each]}
        waits_for_room = not self.wants[earlier] & (had | self.left())
        is_full = self.limit is not None and len(moving) >= self.limit
        return bool(self.wants[earlier] & self.wants[later]) or (waits_for_room and is_full)

    def _line(self) -> list[line.Stand]:
        return [each for each in line.stands_in(self.shop.environment) if each.release in self.wants]

    def _approved(self, services: Iterable[str]) -> Release:
        """A release that everybody has approved."""
        now = clock.now()
        release = Release.objects.create(
            title="Made up",
            environment=self.shop.environment,
            plan=self.shop.plan,
            state="approved",
            author=self.shop.cast.author,
            created_at=now,
            changed_at=now,
        )
        for service in Service.objects.filter(name__in=services):
            digest = digest_for(service.name, "1")
            Item.objects.create(release=release, service=service, version="1", image="x", digest=digest)
        return release


@pytest.fixture
def planned(shop: Shop) -> Shop:
    """The shop, whose plan has a wave for each service."""
    waves = [{"title": name, "services": [name]} for name in SERVICES]
    Plan.objects.filter(pk=shop.plan.pk).update(spec={"waves": waves, "each": [{"kind": "set_image"}]})
    return shop


ONE_EACH = [frozenset({"shopping-service"}), frozenset({"payment-service"})]
# Mostly of one service, as releases are.
wishes = st.sampled_from([frozenset({name}) for name in SERVICES]) | st.frozensets(
    st.sampled_from(SERVICES), min_size=1
)


@long
@pytest.mark.repeated
@settings(
    max_examples=examples(25, soaking=400),
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    limit=st.none() | st.integers(1, 3),
    crowd=st.lists(wishes, min_size=2, max_size=4),
    acts=st.lists(
        st.tuples(st.sampled_from(ACTS), wishes, st.sampled_from([False, False, True])),
        min_size=4,
        max_size=12,
    ),
)
@example(limit=1, crowd=ONE_EACH, acts=[(act, ONE_EACH[0], False) for act in ("fail", "sweep", "retry")])
@example(limit=1, crowd=ONE_EACH, acts=[(act, ONE_EACH[0], False) for act in ("fail", "retry", "sweep")])
def test_the_line_keeps_its_order_and_its_room_and_empties(
    planned: Shop,
    monkeypatch: pytest.MonkeyPatch,
    limit: int | None,
    crowd: list[frozenset[str]],
    acts: list[tuple[str, frozenset[str], bool]],
) -> None:
    planned.environment.spec = {"concurrentRollouts": limit} if limit else {}
    planned.environment.save(update_fields=["spec"])
    street = Street(planned, limit)
    monkeypatch.setattr(start, "require_startable", _refusing(street))
    with transaction.atomic():
        for act, services, spoiled in [*(("ask", each, False) for each in crowd), *acts]:
            begun_before = street.begun()
            street.ask(services, spoiled=spoiled) if act == "ask" else getattr(street, act)()
            street.check(begun_before)
        _empty(street)
        transaction.set_rollback(True)
    assert street.broken == []


def _refusing(street: Street) -> Any:
    def require_startable(release: Release, **_more: Any) -> None:
        if release.pk in street.spoiled:
            raise Conflict("Somebody took it back.")

    return require_startable


def _empty(street: Street) -> None:
    """End one after the other; everybody gets a turn, once."""
    for _each in street.wants:
        begun_before = street.begun()
        while street.left():
            street.settle()
        street.sweep()
        street.check(begun_before)
        street.end()
    street.sweep()
    assert (street.waiting(), street.moving()) == ([], []), "it does not empty"
    ended = QueuePlace.objects.filter(release__in=street.wants)
    spoiled = set(ended.filter(state="given_back").values_list("release", flat=True))
    left = set(ended.filter(state="cancelled").values_list("release", flat=True))
    begun = sorted(Rollout.objects.filter(release__in=street.wants).values_list("release", flat=True))
    assert begun == sorted(set(street.wants) - spoiled - left)
    assert spoiled <= street.spoiled
