"""Quiet namespaces: each cluster is read by a thread of its own, so that one that hangs slows no other.

Workloads are watched, and a namespace is read as a whole as soon as one of them changes; all of them are read
one after the other as well, for what no watch tells: pods under the same workload, autoscalers, Services.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from django.db import DatabaseError, connection

from portal import jobs
from portal.connections import refresh
from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.client import Cluster, connect
from portal.integrations.kubernetes.connection import CONNECTION
from portal.integrations.kubernetes.errors import UNREACHABLE
from portal.integrations.kubernetes.watch import CollectionWatch
from portal.integrations.kubernetes.workloads import with_holder
from releases.catalog.models import Environment
from releases.rollouts.assuring import Assurance
from releases.rollouts.findings.comparing import look
from releases.rollouts.running import View
from releases.rollouts.urgency import KINDS

logger = logging.getLogger(__name__)

Json = dict[str, Any]
Mark = frozenset[tuple[str, str]]
EVERYWHERE = ("deployments",)
# Read only where the catalog names one: elsewhere the cluster need not know them, or the account may not.
WHERE_NAMED = ("statefulsets", "daemonsets", "rollouts")
# How often everything is read, how soon one namespace follows the other, how often clusters are looked for.
ROUND_SECONDS = 10.0
PACE_SECONDS = 0.1
CLUSTERS_SECONDS = 2.0
# A namespace that changes without end is read so often.
REST_SECONDS = 0.5
# One in which nothing changed is compared so often, below the time for which the board calls rows new.
COMPARED_SECONDS = 60.0
# Below the time after which a lead lapses.
WAKE_SECONDS = 1.0


class Leader(Protocol):
    """What a round asks of the watcher."""

    ending: threading.Event
    places: dict[int, Any]

    def leads_for(self, cluster: str) -> bool:
        """Whether this process leads for a cluster."""


class Rounds:
    """Keeps two threads going for each cluster that has environments: for quiet and for watched ones."""

    def __init__(self, leader: Leader) -> None:
        self.leader = leader
        self.threads: dict[str, threading.Thread] = {}

    def run(self) -> None:
        """Look for clusters until the watcher ends."""
        while not self.leader.ending.is_set():
            refresh()
            try:
                self.begin_missing()
            except DatabaseError as error:
                logger.warning("database out of reach: %s", error)
            self.leader.ending.wait(CLUSTERS_SECONDS)
        connection.close()

    def begin_missing(self) -> None:
        """Begin a thread for each cluster that has none, or whose thread has died."""
        rows = Environment.objects.order_by("cluster").values_list("cluster", "cluster__name").distinct()
        for pk, name in rows:
            self._keep(f"round-{name}", partial(Round, self.leader, pk, name))
            self._keep(f"assurance-{name}", partial(Assurance, self.leader, pk))

    def _keep(self, name: str, make: Callable[[], Round | Assurance]) -> None:
        thread = self.threads.get(name)
        if thread is None or not thread.is_alive():
            self.threads[name] = threading.Thread(target=make().run, name=name, daemon=True)
            self.threads[name].start()


@dataclass
class Round:
    """The quiet namespaces of one cluster."""

    leader: Leader
    cluster: int
    name: str
    watches: dict[int, list[CollectionWatch]] = field(default_factory=dict)
    changes: queue.SimpleQueue[int] = field(default_factory=queue.SimpleQueue)
    due: dict[int, float] = field(default_factory=dict)
    looked: dict[int, float] = field(default_factory=dict)
    compared: dict[int, tuple[Mark, float]] = field(default_factory=dict)

    def run(self) -> None:
        """Go round until the watcher ends, or the cluster has no environments any more."""
        try:
            while not self.leader.ending.is_set() and self._go_round():
                pass
        finally:
            self._watch([])
            connection.close()

    def _go_round(self) -> bool:
        """Read everything once, and what changes meanwhile; False where nothing is left to read."""
        refresh()
        try:
            environments = self._environments()
            self._forget_others({each.pk for each in environments})
            if not environments:
                return False
            quiet = self._quiet(environments)
            self._watch(quiet)
            begun = time.monotonic()
            turns = {each.pk: begun + number * PACE_SECONDS for number, each in enumerate(quiet)}
            self._follow(environments, turns, until=begun + max(ROUND_SECONDS, len(quiet) * PACE_SECONDS))
        except DatabaseError as error:
            logger.warning("database out of reach: %s", error)
            self.leader.ending.wait(WAKE_SECONDS)
        return True

    def _environments(self) -> list[Environment]:
        found = Environment.objects.filter(cluster=self.cluster).select_related("cluster")
        return list(found.prefetch_related("services").order_by("pk"))

    def _forget_others(self, known: set[int]) -> None:
        """What is no more leaves nothing behind."""
        for kept in (self.due, self.looked, self.compared):
            for pk in kept.keys() - known:
                del kept[pk]

    def _quiet(self, environments: Iterable[Environment]) -> list[Environment]:
        """Those in which nothing goes on, while this process leads: what stands there changes nothing."""
        if not self.leader.leads_for(self.name):
            return []
        # One that nothing rolls out in any more is watched for a moment longer, and was looked at again.
        places = list(self.leader.places.items())
        busy = {pk for pk, place in places if place.moving or not place.rollouts}
        for pk in self.compared.keys() & busy:
            del self.compared[pk]
        return [each for each in environments if each.pk not in busy]

    def _follow(self, environments: list[Environment], turns: dict[int, float], *, until: float) -> None:
        """Read namespaces as they change, and each when its turn comes.

        Args:
            turns: when the turn of each comes; of a cluster that does not answer the others are left out.
        """
        known = {each.pk: each for each in environments}
        while not self.leader.ending.is_set() and (now := time.monotonic()) < until:
            wait = min([until, now + WAKE_SECONDS, *self.due.values(), *turns.values()]) - now
            self._take_change(max(wait, 0.001))
            told, turned = _take_ready(self.due), _take_ready(turns)
            # Asked at every wake: a lead that nobody asks for lapses, however quiet its cluster is.
            for each in self._quiet(known[pk] for pk in sorted(told | turned) if pk in known):
                if not self._look(each, told=each.pk in told):
                    turns.clear()
                    break

    def _take_change(self, wait: float) -> None:
        try:
            pk = self.changes.get(timeout=wait)
        except queue.Empty:
            return
        self.due.setdefault(pk, max(time.monotonic(), self.looked.get(pk, 0.0) + REST_SECONDS))

    def _look(self, environment: Environment, *, told: bool) -> bool:
        """Read a namespace; False where its cluster does not answer.

        Args:
            told: a watch told of a change; without one it is compared only where something differs.
        """
        began = self.looked[environment.pk] = time.monotonic()
        try:
            view = read_view(connect(environment.cluster.spec), environment)
        except (TemporaryError, PermanentError) as error:
            logger.info("%s cannot be read: %s", environment.name, error.detail)
            return error.code not in {UNREACHABLE, CONNECTION}
        if not self.leader.leads_for(self.name):
            return True  # it was lost while this process stood still: another one has seen newer things
        mark = _mark_of(environment, view)
        known, at = self.compared.get(environment.pk, (frozenset(), 0.0))
        if told or mark != known or began - at > COMPARED_SECONDS:
            age = time.monotonic() - began
            jobs.for_each([environment], lambda each: look(each, view, age_seconds=age))
            self.compared[environment.pk] = (mark, began)
        return True

    def _watch(self, environments: Iterable[Environment]) -> None:
        """Watch the workloads of exactly these."""
        wanted = {each.pk: each for each in environments}
        for pk in self.watches.keys() - wanted.keys():
            for watch in self.watches.pop(pk):
                watch.end()
        for pk in wanted.keys() - self.watches.keys():
            self.watches[pk] = self._begin_watches(wanted[pk])

    def _begin_watches(self, environment: Environment) -> list[CollectionWatch]:
        try:
            cluster = connect(environment.cluster.spec)
        except PermanentError as error:
            logger.warning("%s cannot be watched: %s", environment.name, error.detail)
            return []
        seen = self._teller(environment.pk)
        plurals = workloads_of(environment)
        watches = [CollectionWatch(cluster, each, environment.namespace, seen=seen) for each in plurals]
        for watch in watches:
            name = f"quiet-{environment.name}-{watch.plural}"
            threading.Thread(target=watch.run, name=name, daemon=True).start()
        return watches

    def _teller(self, pk: int) -> Callable[[str, Json], None]:
        def tell(kind: str, _body: Json) -> None:
            # After a list the round has read it all, or is about to.
            if kind != "LISTED":
                self.changes.put(pk)

        return tell


def _take_ready(due: dict[int, float]) -> set[int]:
    now = time.monotonic()
    ready = {pk for pk, at in due.items() if at <= now}
    for pk in ready:
        del due[pk]
    return ready


def read_view(cluster: Cluster, environment: Environment) -> View:
    """Read an environment's namespace once."""
    namespace = environment.namespace
    found = {plural: cluster.find(plural, namespace).items for plural in workloads_of(environment)}
    return View(
        workloads_in(found),
        cluster.find("pods", namespace).items,
        autoscalers=_if_allowed(cluster, "horizontalpodautoscalers", namespace),
        services=_if_allowed(cluster, "services", namespace),
    )


def _mark_of(environment: Environment, view: View) -> Mark:
    """What the catalog says, and which versions of which objects the cluster has."""
    bodies = (*view.workloads.values(), *view.pods, *(view.autoscalers or ()), *(view.services or ()))
    versions = {
        (str(each["metadata"].get("uid")), str(each["metadata"].get("resourceVersion"))) for each in bodies
    }
    return frozenset({*versions, *((str(each.pk), repr(each.spec)) for each in environment.services.all())})


def workloads_in(found: Mapping[str, list[Json]]) -> dict[tuple[str, str], Json]:
    """Return workloads by kind and name, a Rollout with the Deployment that holds its template."""
    return {
        (KINDS[plural], body["metadata"]["name"]): {
            **with_holder(body, found["deployments"]),
            "kind": KINDS[plural],
        }
        for plural, bodies in found.items()
        for body in bodies
    }


def workloads_of(environment: Environment) -> tuple[str, ...]:
    """Return the collections that hold the workloads of an environment."""
    specs = [each.spec for each in environment.services.all()]
    kinds = {each.get("kind") for spec in specs for each in spec.get("workloads") or []}
    return (*EVERYWHERE, *(each for each in WHERE_NAMED if KINDS[each] in kinds))


def _if_allowed(cluster: Cluster, plural: str, namespace: str) -> list[Json] | None:
    """Read a collection that the account may lack the right for; None then."""
    try:
        return cluster.find(plural, namespace).items
    except PermanentError:
        return None
