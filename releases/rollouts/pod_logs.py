"""The end of a log, for whoever may see the service: bounded, masked, and only of the service's own pods."""

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.utils.translation import gettext_lazy as _

from portal.errors import Conflict, NotFound
from portal.integrations.kubernetes.client import Cluster, connect
from portal.integrations.kubernetes.workloads import Json, containers, pods_with
from portal.masking import masked_lines
from portal.people.models import User
from releases.catalog.models import Environment, Service
from releases.rollouts.images import accepted_digests, digest_of, target_image
from releases.rollouts.looking import references_of, workload_or_none
from releases.rollouts.models import Rollout
from releases.rollouts.states import Direction

USUAL_LINES, MOST_LINES = 100, 500
# So many logs are read at once by one process, and by one person; a seat is kept between two looks of one
# who follows.
MOST_SEATS, MOST_OF_ONE = 20, 4
SEAT_SECONDS = 10.0
# A name of Kubernetes; nothing else becomes a part of an address.
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which part of which log; "" for the pod's first container."""

    pod: str
    container: str = ""
    previous: bool = False
    lines: int = USUAL_LINES


@dataclass(frozen=True, kw_only=True)
class Tail:
    """The newest lines of a log, the newest last, as people may read them."""

    pod: str
    container: str
    containers: tuple[str, ...]
    previous: bool
    lines: tuple[str, ...]


@dataclass
class Seats:
    """Who reads a log now: (person, pod, container) and until when the seat is kept."""

    taken: dict[tuple[int, str, str], float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, person: int, pod: str, container: str) -> None:
        """Take a seat, or keep one's own.

        Raises:
            Conflict: `too_many_readers`, all are taken.
        """
        key, now = (person, pod, container), time.monotonic()
        with self.lock:
            self.taken = {each: until for each, until in self.taken.items() if until > now}
            own = sum(1 for each in self.taken if each[0] == person)
            if key not in self.taken and (len(self.taken) >= MOST_SEATS or own >= MOST_OF_ONE):
                text = _("Too many logs are read at once. Close one, and try again in some seconds.")
                raise Conflict(text, code="too_many_readers")
            self.taken[key] = now + SEAT_SECONDS


SEATS = Seats()


def tail(service: Service, environment: Environment, asked: Asked, *, reader: User) -> Tail:
    """Read the end of a log; nobody writes down who read it.

    Raises:
        NotFound: the pod is none of the service's, or has no such container.
        Conflict: `too_many_readers`.
        TemporaryError, PermanentError: the cluster is away or has no log, in its own words.
    """
    if not NAME.fullmatch(asked.pod):
        raise NotFound
    SEATS.take(reader.pk, asked.pod, asked.container)
    cluster = connect(environment.cluster.spec).hurried()
    pod = cluster.read("pods", environment.namespace, asked.pod)
    if pod is None or not _own(cluster, service, environment, [pod]):
        raise NotFound
    return _tail(cluster, environment, pod, asked)


def newest_tail(service: Service, rollout: Rollout, *, reader: User, lines: int) -> Tail | None:
    """Read the end of the log of the newest pod that a rollout brings; None where none has begun.

    Pods with the version that is rolled out, or on the way back those without it, come before all others:
    their times are whole seconds, in which a canary's pods begin as well as new ones beside them.

    Raises:
        Conflict: `too_many_readers`.
        TemporaryError, PermanentError: the cluster is away or has no log, in its own words.
    """
    environment = rollout.environment
    # One seat for all its pods: while they are replaced the newest is another every few seconds.
    SEATS.take(reader.pk, f"{service.name}@{environment.name}", "")
    cluster = connect(environment.cluster.spec).hurried()
    pods = cluster.find("pods", environment.namespace).items
    begun = [pod for pod in _own(cluster, service, environment, pods) if _has_begun(pod)]
    if not begun:
        return None
    version, forward = _version(rollout, service), not rollout.steps.filter(direction=Direction.BACK).exists()

    def rank(pod: Json) -> tuple[bool, str]:
        has_it = bool(version & _images(pod))
        return has_it == forward, str(pod["metadata"].get("creationTimestamp") or "")

    newest = max(begun, key=rank)
    return _tail(cluster, environment, newest, Asked(pod=newest["metadata"]["name"], lines=lines))


def _tail(cluster: Cluster, environment: Environment, pod: Json, asked: Asked) -> Tail:
    names = tuple(each["name"] for each in containers(pod))
    container = asked.container or str(pod["spec"]["containers"][0]["name"])
    if container not in names:
        raise NotFound
    lines = cluster.log_tail(
        environment.namespace,
        asked.pod,
        container=container,
        previous=asked.previous,
        lines=max(1, min(asked.lines, MOST_LINES)),
    )
    return Tail(
        pod=asked.pod,
        container=container,
        containers=names,
        previous=asked.previous,
        lines=tuple(masked_lines(lines)),
    )


def _own(cluster: Cluster, service: Service, environment: Environment, pods: Sequence[Json]) -> list[Json]:
    """The pods that a workload of the service selects: others' logs are not read through this one."""
    references = references_of(service, environment, canary_too=True)
    found = (workload_or_none(cluster, each) for each in references)
    return [pod for each in found if each and each.selector for pod in pods_with(each.selector, pods)]


def _version(rollout: Rollout, service: Service) -> set[str]:
    """What the release brings of a service, by its reference and its digests; empty for an operation."""
    item = rollout.release.items.select_related("service").filter(service=service).first()
    return {target_image(item), *accepted_digests(item)} if item else set()


def _images(pod: Json) -> set[str]:
    """What a pod runs: images as its template names them, and their digests."""
    named = [each["image"] for each in containers(pod)]
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    digests = (digest_of(str(each.get("imageID") or "")) for each in statuses)
    return {*named, *map(digest_of, named), *digests} - {""}


def _has_begun(pod: Json) -> bool:
    """Whether a container of it runs or ran: before that there is no log to ask for."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    states = (each.get(key) or {} for each in statuses for key in ("state", "lastState"))
    return any("running" in state or "terminated" in state for state in states)
