"""Makes sure that watches tell what happens: reads beside them, and begins those anew that fell silent.

A connection that is gone without either end having heard of it stays open for minutes, and a step would wait
for its word as long (attacks.md, F12; kubernetes-client/python issues 1148, 2462).
"""

import logging
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.watch import CollectionWatch, Versions
from releases.rollouts.urgency import KINDS, PODS

logger = logging.getLogger(__name__)

# How often each place is read beside its watches, and how long a watch may take to tell what was read; a
# silent one is found within ten seconds (attacks.md, F12).
EVERY_SECONDS = 7.0
LAG_SECONDS = 1.0
# Where one has fallen silent others may: there it is done so often, for so long.
DOUBTED_EVERY_SECONDS, DOUBTED_SECONDS = 1.5, 60.0
REST_SECONDS = 0.1


class Watching(Protocol):
    """What is asked of a place that is watched."""

    environment: Any
    watches: dict[str, CollectionWatch]
    rollouts: set[int]

    def begin_anew(self, plural: str) -> None:
        """Replace a watch by a new one."""

    def answered(self) -> None:
        """Take note that its cluster was read just now."""


class Leader(Protocol):
    """What is asked of the watcher."""

    ending: threading.Event
    places: dict[int, Any]


@dataclass(frozen=True)
class Asked:
    """What a watch had not told of at a moment of this process's counter."""

    at: float
    place: Watching
    plural: str
    watch: CollectionWatch
    untold: Versions


@dataclass
class Assurance:
    """The watched places of one cluster, one after the other."""

    leader: Leader
    cluster: int
    turns: dict[int, float] = field(default_factory=dict)
    doubted: dict[int, float] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def run(self) -> None:
        """Go on until the watcher ends."""
        while not self.leader.ending.is_set():
            self.go_round()
            self.leader.ending.wait(REST_SECONDS)

    def go_round(self) -> None:
        """Ask of each place whose turn has come, and see what has become of what was asked before."""
        places = {
            pk: place
            for pk, place in list(self.leader.places.items())
            if place.environment.cluster_id == self.cluster and place.rollouts
        }
        for known in (self.turns, self.doubted):
            for pk in known.keys() - places.keys():
                del known[pk]
        self._judge()
        for pk in places.keys() - self.turns.keys():
            self.turns[pk] = time.monotonic() + random.uniform(0, EVERY_SECONDS)  # noqa: S311  spreads
        now = time.monotonic()
        for pk in [pk for pk, at in self.turns.items() if at <= now]:
            rest = DOUBTED_EVERY_SECONDS if self._is_doubted(pk) else EVERY_SECONDS
            self.turns[pk] = time.monotonic() + rest
            self._ask(places[pk])

    def _is_doubted(self, pk: int) -> bool:
        return time.monotonic() < self.doubted.get(pk, 0.0)

    def _ask(self, place: Watching) -> None:
        for plural, watch in list(place.watches.items()):
            if plural not in KINDS and plural != PODS:
                continue
            try:
                untold = watch.untold()
            except (TemporaryError, PermanentError):
                return  # whoever cannot be asked ends its watches as well
            if untold:
                self.asked.append(Asked(time.monotonic(), place, plural, watch, untold))
        place.answered()

    def _judge(self) -> None:
        before = time.monotonic() - LAG_SECONDS
        ripe = [each for each in self.asked if each.at <= before]
        self.asked = [each for each in self.asked if each.at > before]
        for each in ripe:
            if each.place.watches.get(each.plural) is each.watch and each.watch.still_untold(each.untold):
                environment = each.place.environment
                logger.warning("the watch of %s in %s fell silent", each.plural, environment.name)
                self.doubted[environment.pk] = time.monotonic() + DOUBTED_SECONDS
                each.place.begin_anew(each.plural)
