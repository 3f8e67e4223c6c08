"""One look at a service in its cluster, for somebody who waits at a page: bounded, nothing of it is kept."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from django.utils.dateparse import parse_datetime

from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.client import Cluster, connect
from portal.integrations.kubernetes.errors import MISSING
from portal.integrations.kubernetes.rollout_status import condition
from portal.integrations.kubernetes.usage import Usage, usage_of_pods
from portal.integrations.kubernetes.workloads import (
    Reference,
    Workload,
    container_statuses,
    containers,
    pods_with,
)
from releases.catalog import units
from releases.catalog.models import Environment, Service
from releases.rollouts.members import Member
from releases.rollouts.tables import DEFAULT_WORKLOAD_KIND

Json = dict[str, Any]
Answer = TypeVar("Answer")
# What is still to be read after so long is left out: the page is waited for.
ENOUGH_SECONDS = 3.0
AUTOSCALERS = "horizontalpodautoscalers"


@dataclass(frozen=True, kw_only=True)
class PodSeen:
    """One pod; `state` is the cluster's own word for it, as kubectl shows it."""

    name: str
    workload: str
    state: str
    health: str
    ready: int
    wanted: int
    containers: tuple[str, ...]
    restarts: int
    created: datetime | None
    usage: Usage | None = None

    @property
    def cpu(self) -> str:
        """The CPU that it uses; "" where that is not measured."""
        return units.written(self.usage.cpu_millicores / 1000, "cores") if self.usage else ""

    @property
    def memory(self) -> str:
        """The memory that it uses; "" where that is not measured."""
        return units.written(self.usage.memory_bytes, "bytes") if self.usage else ""


@dataclass(frozen=True, kw_only=True)
class ContainerSeen:
    """A container of a workload's template: what it asks for, and what it may use."""

    name: str
    requests: Mapping[str, str] = field(default_factory=dict, hash=False)
    limits: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def asks(self) -> str:
        """What it asks for, in words."""
        return _in_words(self.requests)

    @property
    def may_use(self) -> str:
        """What it may use at most, in words."""
        return _in_words(self.limits)


@dataclass(frozen=True, kw_only=True)
class WorkloadSeen:
    """One workload; `bounds` are (least, most) of the autoscaler that owns its replicas."""

    kind: str
    name: str
    there: bool = True
    ready: int = 0
    wanted: int = 0
    bounds: tuple[int, int] | None = None
    containers: tuple[ContainerSeen, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was seen; `error` says why nothing was; `measured`: whether usage is known."""

    workloads: tuple[WorkloadSeen, ...] = ()
    pods: tuple[PodSeen, ...] = ()
    measured: bool = False
    error: str = ""


def look(service: Service, environment: Environment) -> Look:
    """Read workloads, pods, autoscalers and usage of a service; where the cluster is away, say so."""
    since = time.monotonic()
    try:
        cluster = connect(environment.cluster.spec).hurried()
        found = [(name, workload_or_none(cluster, name)) for name in references_of(service, environment)]
        pods = cluster.find("pods", environment.namespace).items
    except (TemporaryError, PermanentError) as error:
        return Look(error=str(error.detail))

    def rest(read: Callable[[], Answer], otherwise: Answer) -> Answer:
        return _read(read, otherwise) if time.monotonic() - since < ENOUGH_SECONDS else otherwise

    none: list[Json] = []
    autoscalers = rest(lambda: cluster.find(AUTOSCALERS, environment.namespace).items, none)
    usage = rest(lambda: usage_of_pods(cluster, environment.namespace), None)
    return Look(
        workloads=tuple(_seen(name, each, autoscalers) for name, each in found),
        pods=tuple(_pods([each for _name, each in found if each], pods, usage or {})),
        measured=usage is not None,
    )


def references_of(service: Service, environment: Environment, *, canary_too: bool = False) -> list[Reference]:
    """The workloads of a service, as the catalog has them."""
    member = Member(name=service.name, spec=service.spec)
    documents = member.with_canary if canary_too else member.workloads
    return [
        Reference(each.get("kind", DEFAULT_WORKLOAD_KIND), environment.namespace, each["name"])
        for each in documents
    ]


def workload_or_none(cluster: Cluster, reference: Reference) -> Workload | None:
    """Read a workload that may not be there."""
    try:
        return cluster.workload(reference)
    except PermanentError as error:
        if error.code != MISSING:
            raise
        return None


def _read(read: Callable[[], Answer], otherwise: Answer) -> Answer:
    try:
        return read()
    except (TemporaryError, PermanentError):
        return otherwise


def _seen(reference: Reference, workload: Workload | None, autoscalers: Sequence[Json]) -> WorkloadSeen:
    if workload is None:
        return WorkloadSeen(kind=reference.kind, name=reference.name, there=False)
    return WorkloadSeen(
        kind=reference.kind,
        name=reference.name,
        ready=workload.ready,
        wanted=workload.replicas,
        bounds=_bounds(reference, autoscalers),
        containers=tuple(_container(each) for each in containers(workload.template)),
    )


def _bounds(reference: Reference, autoscalers: Sequence[Json]) -> tuple[int, int] | None:
    for each in autoscalers:
        spec = each.get("spec") or {}
        target = spec.get("scaleTargetRef") or {}
        if (target.get("kind"), target.get("name")) == (reference.kind, reference.name):
            return int(spec.get("minReplicas") or 1), int(spec["maxReplicas"])
    return None


def _container(document: Json) -> ContainerSeen:
    resources = document.get("resources") or {}
    return ContainerSeen(
        name=document["name"],
        requests={key: str(value) for key, value in (resources.get("requests") or {}).items()},
        limits={key: str(value) for key, value in (resources.get("limits") or {}).items()},
    )


def _pods(workloads: Sequence[Workload], pods: list[Json], usage: Mapping[str, Usage]) -> Iterator[PodSeen]:
    for workload in workloads:
        own = pods_with(workload.selector, pods)
        for pod in sorted(own, key=lambda each: str(each["metadata"]["name"])):
            yield _pod(pod, workload.reference.name, usage)


def _pod(pod: Json, workload: str, usage: Mapping[str, Usage]) -> PodSeen:
    metadata, statuses = pod["metadata"], container_statuses(pod)
    main = (pod.get("status") or {}).get("containerStatuses") or []
    state = state_of(pod)
    return PodSeen(
        name=metadata["name"],
        workload=workload,
        state=state,
        health=_health(pod, state),
        ready=sum(1 for each in main if each.get("ready")),
        wanted=len((pod.get("spec") or {}).get("containers") or []),
        containers=tuple(each["name"] for each in containers(pod)),
        restarts=sum(int(each.get("restartCount") or 0) for each in statuses),
        created=parse_datetime(metadata.get("creationTimestamp") or ""),
        usage=usage.get(metadata["name"]),
    )


def state_of(pod: Json) -> str:
    """Return the word that kubectl shows for a pod: why it waits or died, else its phase."""
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = pod.get("status") or {}
    for each in container_statuses(pod):
        state = each.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        if waiting.get("reason"):
            return str(waiting["reason"])
        if ended.get("exitCode"):
            return str(ended.get("reason") or "Error")
    return str(status.get("reason") or status.get("phase") or "Unknown")


def _health(pod: Json, state: str) -> str:
    """Ready is healthy; what waits for nothing wrong is on its way."""
    status = pod.get("status") or {}
    if state == "Terminating" or status.get("phase") == "Succeeded":
        return "unknown"
    if condition(status, "Ready").get("status") == "True":
        return "healthy"
    on_its_way = {"Pending", "Running", "ContainerCreating", "PodInitializing"}
    return "progressing" if state in on_its_way else "degraded"


def _in_words(amounts: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {units.resource(name, amount)}" for name, amount in amounts.items())
