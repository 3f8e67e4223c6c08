"""Routes of one service in one environment."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from portal.api.auth import actor_of
from portal.api.schemas import Body
from portal.api.strict import hidden_first
from portal.people.models import User
from releases import operations
from releases import queries as release_queries
from releases.api_inputs import OperationInput
from releases.api_shapes import ReleaseShape, release_shape
from releases.models import Release
from releases.rollouts.colours import Tile
from releases.rollouts.looking import PodSeen, WorkloadSeen
from releases.rollouts.pod_logs import MOST_LINES, USUAL_LINES, Asked, tail
from releases.rollouts.service_page import Last, Portrait, portrait_of, visible_service


def _require_there(request: HttpRequest, values: Mapping[str, Any]) -> None:
    if {"name", "env"} <= values.keys():
        visible_service(_user(request), values["name"], values["env"])


router = Router(tags=["services"])
router.add_decorator(hidden_first(_require_there), mode="view")


class BoundsShape(Schema):
    """The bounds of the autoscaler that owns a workload's replicas."""

    min: int
    max: int


class ContainerShape(Schema):
    """What a container asks for, and what it may use."""

    name: str
    requests: dict[str, str]
    limits: dict[str, str]


class WorkloadShape(Schema):
    """A workload of the service; `exists` is false where the cluster has none of that name."""

    kind: str
    name: str
    exists: bool
    ready: int
    wanted: int
    autoscaler: BoundsShape | None
    containers: list[ContainerShape]


class PodShape(Schema):
    """A pod; usage is null where the cluster measures none."""

    name: str
    workload: str
    state: str = Field(description="the cluster's word, as kubectl shows it")
    health: str
    ready: int
    wanted: int
    restarts: int
    created_at: datetime | None
    containers: list[str]
    cpu_millicores: int | None
    memory_bytes: int | None


class ColourShape(Schema):
    """One colour of a service that stands twice; what is live has traffic, both while they share the pods."""

    colour: str
    live: bool
    ready: int
    wanted: int


class LogQuery(Body):
    """Which part of which log."""

    container: str = Field("", max_length=63, description="the pod's first, where it is left out")
    previous: bool = Field(default=False, description="the run before the present one")
    lines: int = Field(USUAL_LINES, ge=1, le=MOST_LINES)


class LogShape(Schema):
    """The newest lines, the newest last."""

    pod: str
    container: str
    containers: list[str]
    previous: bool
    lines: list[str]


class LastShape(Schema):
    """What a check or a Job came to last time; null where it was never made."""

    name: str
    state: str | None
    text: str
    rollout: int | None
    at: datetime | None


class PastShape(Schema):
    """A release or an operation of the service here."""

    number: int
    title: str
    state: str
    grade: str
    author: str
    changed_at: datetime


class ServiceHereShape(Schema):
    """A service in an environment: what the watcher saw last, and one look into the cluster."""

    service: str
    environment: str
    version: str
    images: dict[str, str]
    digests: list[str]
    health: str
    text: str
    ready: int
    wanted: int
    since: datetime | None
    release: int | None
    seen_at: datetime | None
    pinned: bool
    drift: dict[str, Any] | None
    pending: list[int]
    rollout: int | None
    cluster_error: str | None = Field(description="why the cluster was not seen now; null when it was")
    metrics: bool = Field(description="whether the cluster says what pods use")
    workloads: list[WorkloadShape]
    colours: list[ColourShape]
    pods: list[PodShape]
    checks: list[LastShape]
    jobs: list[LastShape]
    history: list[PastShape]


@router.get("/services/{name}/{env}", response=ServiceHereShape)
def read_service_here(request: HttpRequest, name: str, env: str) -> dict[str, Any]:
    """What runs of a service in an environment, its pods, and what went out."""
    return _shape(portrait_of(*visible_service(_user(request), name, env)))


@router.get("/services/{name}/{env}/pods/{pod}/log", response=LogShape)
def read_log(request: HttpRequest, name: str, env: str, pod: str, query: Query[LogQuery]) -> dict[str, Any]:
    """The end of a container's log; what looks like a secret is masked."""
    user = _user(request)
    service, environment = visible_service(user, name, env)
    asked = Asked(pod=pod, **query.model_dump())
    return asdict(tail(service, environment, asked, reader=user))


@router.post("/services/{name}/{env}/operations", response={201: ReleaseShape})
def create_operation(request: HttpRequest, name: str, env: str, body: OperationInput) -> Status[Any]:
    """Draft an operation: a release of what runs, graded by what it touches, and approved as any other."""
    data = body.model_dump(exclude_unset=True)
    release = operations.create_operation(name, env, data, actor=actor_of(request))
    return Status(201, release_shape(release_queries.detail(_user(request), release.number)))


def _user(request: HttpRequest) -> User:
    user = actor_of(request).user
    assert user is not None
    return user


def _shape(portrait: Portrait) -> dict[str, Any]:
    cell, seen = portrait.cell, portrait.seen
    same = (
        "version",
        "images",
        "digests",
        "health",
        "text",
        "ready",
        "wanted",
        "since",
        "release",
        "seen_at",
    )
    return {
        "service": portrait.service.name,
        "environment": portrait.environment.name,
        **{name: getattr(cell, name) for name in (*same, "pinned", "drift")},
        "pending": [release.number for release in cell.pending],
        "rollout": cell.rollout.pk if cell.rollout else None,
        "cluster_error": seen.error or None,
        "metrics": seen.measured,
        "workloads": [_workload(each) for each in seen.workloads],
        "colours": [_colour(tile) for each in portrait.colours for tile in each.tiles],
        "pods": [_pod(each) for each in seen.pods],
        "checks": [_last(each) for each in portrait.checks],
        "jobs": [_last(each) for each in portrait.jobs],
        "history": [_past(each) for each in portrait.history],
    }


def _workload(workload: WorkloadSeen) -> dict[str, Any]:
    bounds = workload.bounds
    return {
        "kind": workload.kind,
        "name": workload.name,
        "exists": workload.there,
        "ready": workload.ready,
        "wanted": workload.wanted,
        "autoscaler": {"min": bounds[0], "max": bounds[1]} if bounds else None,
        "containers": [
            {"name": each.name, "requests": each.requests, "limits": each.limits}
            for each in workload.containers
        ],
    }


def _colour(tile: Tile) -> dict[str, Any]:
    return {"colour": tile.colour, "live": tile.is_live, "ready": tile.ready, "wanted": tile.wanted}


def _pod(pod: PodSeen) -> dict[str, Any]:
    same = ("name", "workload", "state", "health", "ready", "wanted", "restarts", "containers")
    return {
        **{name: getattr(pod, name) for name in same},
        "created_at": pod.created,
        "cpu_millicores": pod.usage.cpu_millicores if pod.usage else None,
        "memory_bytes": pod.usage.memory_bytes if pod.usage else None,
    }


def _last(last: Last) -> dict[str, Any]:
    step = last.step
    return {
        "name": last.name,
        "state": step.state if step else None,
        "text": last.text,
        "rollout": step.rollout_id if step else None,
        "at": last.at,
    }


def _past(release: Release) -> dict[str, Any]:
    same = ("number", "title", "state", "grade", "changed_at")
    return {**{name: getattr(release, name) for name in same}, "author": release.author.username}
