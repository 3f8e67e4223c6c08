"""Watches the clusters: nudges rollouts within milliseconds of a change, and keeps what runs where.

It only observes. Any number may run; per cluster one leads, by a row that it renews. Namespaces in which
something rolls out are watched here; the others are left to `rounds`.
"""

import contextlib
import logging
import math
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError, connection, transaction

from portal import clock, jobs
from portal.connections import refresh
from portal.errors import PermanentError
from portal.integrations.kubernetes.client import connect
from portal.integrations.kubernetes.trouble import WARNINGS
from portal.integrations.kubernetes.watch import CollectionWatch
from releases.catalog.models import Environment
from releases.rollouts.findings.comparing import look
from releases.rollouts.models import WatchLead
from releases.rollouts.rounds import COMPARED_SECONDS, Rounds, workloads_in, workloads_of
from releases.rollouts.running import View
from releases.rollouts.states import AT_REST, WATCHED
from releases.rollouts.urgency import EVENTS, KINDS, PODS, Seen, Urgency

logger = logging.getLogger(__name__)

Json = dict[str, Any]
ADVANCE = "releases.rollouts.jobs.advance"
# What keeps a ReplicaSet from making pods its owner says as well (protocols.md, A4).
BESIDE = (PODS, EVENTS)
FIELDS = {EVENTS: WARNINGS}
SERVICES, STATEFUL_SETS = "services", "statefulsets"
RENEW_SECONDS = 3.0
KEEP_SECONDS = 0.2
NUDGE_SECONDS = 0.04
# Rollouts that ask for a look so soon are looked at in that moment, those that are late by as much at once.
WAKE_SECONDS = 2 * KEEP_SECONDS
# Between two nudges for changes that end no wait: pods on their way, and what may be trouble.
GATHER_SECONDS = 0.5
BURST_SECONDS = 0.2
# A nudge that nobody took up by then is sent again, where it does not wait (see portal.jobs): no rollout
# waits for longer than for a sweep. So often at most: workers of an older portal do not say that they heard.
LOST_SECONDS, MOST_NUDGES = 3.5, 3
# What readers see of a change is written so soon, and of one that shows nothing new itself so late.
ROWS_SECONDS, UNSEEN_SECONDS = 0.5, 3.0
# A watch goes on for a while after the last rollout: the next one often follows.
LINGER_SECONDS = 20.0
# Once nothing may begin in a rollout any more it is compared with what is expected then: a little later, as
# what it did last may still be on its way here.
LOOK_AGAIN_SECONDS = 2.0
GOING_STATES, RESTING_STATES = sorted(map(str, WATCHED)), sorted(map(str, AT_REST))
# How many seconds ago each rollout last heard a nudge, and how many ago, or ahead, is the moment for which it
# asked, where that is near and nobody holds it; and whether something may begin in it. Read five times a
# second: a statement of its own.
GOING = """
SELECT rollout.id, rollout.environment_id, cluster.name,
    coalesce(extract(epoch FROM clock_timestamp() - heard_at), 'infinity')::float8,
    CASE WHEN lease_until IS NULL AND abs(extract(epoch FROM clock_timestamp() - wake_at)) < %s
        THEN extract(epoch FROM clock_timestamp() - wake_at)::float8 END,
    state <> ALL(%s)
FROM rollouts_rollout AS rollout
JOIN catalog_environment AS environment ON environment.id = rollout.environment_id
JOIN catalog_connection AS cluster ON cluster.id = environment.cluster_id
WHERE state = ANY(%s)
"""


@dataclass
class Place:
    """A namespace that is watched, and the rollouts there that want to know of changes.

    Attributes:
        moving: those of them in which something may begin.
    """

    environment: Environment
    watches: dict[str, CollectionWatch]
    rollouts: set[int] = field(default_factory=set)
    moving: frozenset[int] = frozenset()
    idle_since: float | None = None
    rows_due: float | None = None
    again_due: float = math.inf
    written_at: float = -math.inf

    def begin(self) -> None:
        """Begin the watches, each in a thread of its own."""
        for plural in self.watches:
            self._begin(plural)

    def begin_anew(self, plural: str) -> None:
        """Replace a watch by a new one."""
        self.watches[plural] = self.watches[plural].anew()
        self._begin(plural)

    def is_due(self, now: float) -> bool:
        """Whether it is time to write rows, or to look again."""
        return self.again_due <= now or (self.rows_due is not None and self.rows_due <= now)

    def answered(self) -> None:
        """Its cluster was read beside the watches: where nothing changes, rows are written now and then.

        The board would call them old else, as if the cluster were out of reach.
        """
        now = time.monotonic()
        if self.rows_due is None and now - self.written_at > COMPARED_SECONDS:
            self.rows_due = now

    def explained_by(self, moving: frozenset[int]) -> None:
        """Take note of the rollouts in which something may begin; where one is that no more, look again."""
        if self.moving - moving:
            self.again_due = time.monotonic() + LOOK_AGAIN_SECONDS
        self.moving = moving

    def _begin(self, plural: str) -> None:
        name = f"watch-{self.environment.name}-{plural}"
        threading.Thread(target=self.watches[plural].run, name=name, daemon=True).start()

    def end(self) -> None:
        """End the watches; each thread goes at its next event."""
        for watch in self.watches.values():
            watch.end()

    def view(self) -> View | None:
        """Return the namespace as it is now, once everything was listed."""
        if not all(watch.listed for watch in self.watches.values()):
            return None
        found = {
            plural: list(watch.objects.values()) for plural, watch in self.watches.items() if plural in KINDS
        }
        services = self.watches.get(SERVICES)
        listed = list(services.objects.values()) if services is not None else None
        pods = list(self.watches[PODS].objects.values())
        return View(workloads_in(found), pods, services=listed, is_whole=False)


class Unheard:
    """Which nudges nobody has taken up yet, by the rollout: (sent at, how often), for two threads."""

    def __init__(self) -> None:
        self._sent: dict[int, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def sent(self, rollout: int, now: float, *, times: int = 1) -> None:
        """A nudge is about to be sent."""
        with self._lock:
            self._sent[rollout] = (now, times)

    def lost(self, heard: dict[int, float], *, now: float) -> dict[int, int]:
        """Return which nudges seem to be lost, and how often each was sent.

        Args:
            heard: how many seconds before `now` each rollout last heard one; those that are over have none.
        """
        with self._lock:
            for rollout, (at, times) in list(self._sent.items()):
                if heard.get(rollout, 0.0) <= now - at or times > MOST_NUDGES:
                    del self._sent[rollout]
            overdue = {each: sent for each, sent in self._sent.items() if now - sent[0] > LOST_SECONDS}
        return {each: times for each, (_at, times) in overdue.items()}


@dataclass(frozen=True)
class Wake:
    """A rollout that is to be nudged at a moment, by the monotonic clock."""

    rollout: int
    at: float


class Watcher:
    """One process's view of all clusters it leads for."""

    def __init__(self) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}"
        self.changes: queue.SimpleQueue[tuple[int, Urgency] | Wake] = queue.SimpleQueue()
        self.places: dict[int, Place] = {}
        self.leads: dict[str, float] = {}
        self.nudged: dict[int, float] = {}
        self.unheard = Unheard()
        self.due: dict[int, float] = {}
        self.ending = threading.Event()

    def run(self) -> None:
        """Nudge until told to end; another thread reads and writes rows, which nobody's next step waits for.

        Raises:
            RuntimeError: that thread has died of a fault; a new process begins anew.
        """
        keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        keeper.start()
        while not self.ending.is_set():
            self.nudge(seconds=KEEP_SECONDS)
            if not keeper.is_alive() and not self.ending.is_set():
                raise RuntimeError("what keeps the watches has died")
        for place in list(self.places.values()):
            place.end()

    def _keep(self) -> None:
        while not self.ending.wait(KEEP_SECONDS):
            refresh()
            try:
                self.plan()
                self.write_rows()
            except DatabaseError as error:
                # Nothing is lost: what was missed is listed again, and the sweep nudges meanwhile.
                logger.warning("database out of reach: %s", error)
                self.ending.wait(1.0)
        connection.close()

    def plan(self) -> None:
        """Watch where something rolls out, and stop watching where nothing does."""
        active: dict[int, set[int]] = {}
        moving: dict[int, set[int]] = {}
        clusters: dict[int, str] = {}
        heard: dict[int, float] = {}
        # Read before the rows: what was heard while they are read counts from the next time on.
        asked_at = time.monotonic()
        rows = _going()
        read_at = time.monotonic()
        for pk, environment, cluster, since_heard, late, moves in rows:
            active.setdefault(environment, set()).add(pk)
            if moves:
                moving.setdefault(environment, set()).add(pk)
            clusters[environment], heard[pk] = cluster, since_heard
            if late is not None:
                # Not before the moment for which it asked; what is missed the sweep finds a second later.
                self.changes.put(Wake(pk, read_at - late))
        self._nudge_again(self.unheard.lost(heard, now=asked_at))
        leading = {each for each in set(clusters.values()) if self.leads_for(each)}
        self._watch({pk: rollouts for pk, rollouts in active.items() if clusters[pk] in leading})
        for pk in self.places.keys() & {pk for pk in active if clusters[pk] not in leading}:
            self.places.pop(pk).end()
        for pk in self.places.keys() - active.keys():
            self._idle(pk)
        for pk, place in self.places.items():
            place.explained_by(frozenset(moving.get(pk, ())))

    def _nudge_again(self, lost: dict[int, int]) -> None:
        """Send nudges once more that nobody took up; while others wait in the queue these may as well."""
        if not lost or jobs.are_waiting():
            return
        for rollout, times in lost.items():
            logger.info("rollout %s is nudged again: nobody took the last nudge up", rollout)
            sent = jobs.enqueue_now(ADVANCE, rollout)
            self.unheard.sent(rollout, time.monotonic(), times=times + sent)

    def _watch(self, active: Mapping[int, set[int]]) -> None:
        """Watch these places for these rollouts."""
        for pk in active.keys() & self.places.keys():
            self._tell_of(self.places[pk], active[pk])
        missing = active.keys() - self.places.keys()
        if not missing:
            return
        found = Environment.objects.select_related("cluster").prefetch_related("services")
        for environment in found.filter(pk__in=missing):
            place = self._open(environment)
            if place is not None:
                self.places[environment.pk] = place
                self._tell_of(place, active[environment.pk])

    def _tell_of(self, place: Place, rollouts: set[int]) -> None:
        for rollout in rollouts - place.rollouts:
            # What changed before it was known here was told to nobody.
            self.changes.put(Wake(rollout, time.monotonic()))
        place.rollouts, place.idle_since = rollouts, None

    def _open(self, environment: Environment) -> Place | None:
        try:
            cluster = connect(environment.cluster.spec)
        except PermanentError as error:
            logger.warning("%s cannot be watched: %s", environment.name, error.detail)
            return None
        watches = {
            plural: CollectionWatch(
                cluster,
                plural,
                environment.namespace,
                seen=self._seen(environment.pk, plural),
                fields=FIELDS.get(plural, ""),
            )
            for plural in _watched_in(environment)
        }
        place = Place(environment, watches)
        place.begin()
        return place

    def _seen(self, pk: int, plural: str) -> Any:
        seen = Seen(plural)

        def tell(kind: str, body: Json) -> None:
            urgency, shows = seen.judge(kind, body), seen.shows(kind, body)
            if shows or urgency != Urgency.ROWS:
                self.changes.put((pk, urgency))

        return tell

    def _idle(self, pk: int) -> None:
        place = self.places[pk]
        place.rollouts = set()
        place.idle_since = place.idle_since or time.monotonic()
        if time.monotonic() - place.idle_since > LINGER_SECONDS:
            self.places.pop(pk).end()

    def nudge(self, *, seconds: float) -> None:
        """Take the next change, wait for one no longer than this, and nudge where it is time."""
        due = min(self.due.values(), default=math.inf) - time.monotonic()
        with contextlib.suppress(queue.Empty):
            self._heed(self.changes.get(timeout=max(min(seconds, due), 0.001)))
        for _each in range(self.changes.qsize()):  # what came along; nobody else takes any
            self._heed(self.changes.get_nowait())
        self._send_due(time.monotonic())

    def _heed(self, found: tuple[int, Urgency] | Wake) -> None:
        if isinstance(found, Wake):
            self.due[found.rollout] = min(found.at, self.due.get(found.rollout, found.at))
        else:
            self._changed(*found)

    def _changed(self, pk: int, urgency: Urgency) -> None:
        place = self.places.get(pk)
        if place is None:
            return
        now = time.monotonic()
        due = now + (UNSEEN_SECONDS if urgency == Urgency.ROWS else ROWS_SECONDS)
        place.rows_due = min(place.rows_due or due, due)
        if urgency == Urgency.ROWS:
            return
        urgent = urgency == Urgency.NOW
        rest = NUDGE_SECONDS if urgent else GATHER_SECONDS
        for rollout in place.rollouts:
            # What may end a wait is told at once, and a burst of anything else as one.
            at = max(now if urgent else now + BURST_SECONDS, self.nudged.get(rollout, 0.0) + rest)
            self.due[rollout] = min(at, self.due.get(rollout, at))

    def _send_due(self, now: float) -> None:
        for rollout in [pk for pk, at in self.due.items() if at <= now]:
            del self.due[rollout]
            self.nudged[rollout] = now
            self.unheard.sent(rollout, now)
            jobs.enqueue_now(ADVANCE, rollout)
        for rollout in [pk for pk, at in self.nudged.items() if at < now - GATHER_SECONDS]:
            del self.nudged[rollout]

    def write_rows(self) -> None:
        """Write what readers see of the places in which something changed a moment ago."""
        now = time.monotonic()
        due = [each for each in self.places.values() if each.is_due(now)]
        jobs.for_each(due, _write_rows_of)

    def leads_for(self, cluster: str) -> bool:
        """Whether this process leads for a cluster; renewed well before it runs out."""
        now = time.monotonic()
        if self.leads.get(cluster, 0.0) > now:
            return True
        if not take_lead(cluster, self.owner):
            self.leads.pop(cluster, None)
            return False
        self.leads[cluster] = now + RENEW_SECONDS
        return True


def _write_rows_of(place: Place) -> None:
    # What changes from now on is due again.
    now = time.monotonic()
    place.rows_due, place.written_at = None, now
    view = place.view()
    if view is not None:
        place.again_due = math.inf if place.again_due <= now else place.again_due
        look(place.environment, view)


def take_lead(cluster: str, owner: str) -> bool:
    """Take or renew the lead for a cluster; False while another process has it."""
    with transaction.atomic():
        now = clock.now()
        until = now + WatchLead.LASTS
        lead, created = WatchLead.objects.select_for_update().get_or_create(
            cluster=cluster, defaults={"owner": owner, "until": until}
        )
        if not created and lead.owner != owner and lead.until > now:
            return False
        lead.owner, lead.until = owner, until
        lead.save(update_fields=["owner", "until"])
        return True


def _going() -> list[tuple[int, int, str, float, float | None, bool]]:
    with connection.cursor() as cursor:
        cursor.execute(GOING, [WAKE_SECONDS, RESTING_STATES, GOING_STATES])
        rows: list[tuple[int, int, str, float, float | None, bool]] = cursor.fetchall()
    return rows


def _watched_in(environment: Environment) -> set[str]:
    """The collections that are watched: a chart may hold what the catalog does not name.

    Services say which colour has the traffic.
    """
    known = {key for each in environment.services.all() for key in each.spec}
    charted = {STATEFUL_SETS} if "helm" in known else set()
    coloured = {SERVICES} if "colours" in known else set()
    return {*workloads_of(environment), *BESIDE, *charted, *coloured}


def run() -> None:
    """Watch until told to end; called by `manage.py run watcher`."""
    watcher = Watcher()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: watcher.ending.set())
    quiet = threading.Thread(target=Rounds(watcher).run, name="rounds", daemon=True)
    quiet.start()
    watcher.run()
    quiet.join(timeout=1.0)
