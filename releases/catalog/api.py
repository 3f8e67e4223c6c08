"""API v1: services with their versions, and environments."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from portal import access
from portal.api import paging
from portal.api.auth import actor_of
from portal.api.paging import PageQuery
from portal.api.schemas import Paged
from portal.integrations.registry.client import Resolved
from portal.people.models import User
from releases.catalog import versions
from releases.catalog.models import Environment, Service
from releases.catalog.queries import environments_for, seen_environments, services_for

router = Router(tags=["catalog"])


class ServiceShape(Schema):
    """A service, and those of its environments that the reader may see."""

    name: str
    title: str
    team: str = Field(description="The owning team's key.")
    system: str
    core: bool
    image: str
    environments: list[str]


class ServiceVersionShape(Schema):
    """A version the registry offers, and the exact image behind it now."""

    version: str
    digest: str
    image: str
    commit: str | None
    created_at: datetime | None


class EnvironmentShape(Schema):
    """A namespace of a cluster in which services of a system run."""

    name: str
    title: str
    system: str
    stage: str
    cluster: str
    cluster_group: str
    namespace: str
    protected: bool


class ServiceQuery(PageQuery):
    """Which services."""

    system: str | None = Field(None, max_length=120)
    team: str | None = Field(None, max_length=60)


@router.get("/services", response=Paged[ServiceShape])
def list_services(request: HttpRequest, query: Query[ServiceQuery]) -> dict[str, Any]:
    """List services by name."""
    rows = services_for(_reader(request))
    if query.system is not None:
        rows = rows.filter(system=query.system)
    if query.team is not None:
        rows = rows.filter(team__key=query.team)
    part = paging.page(rows, query=query, key="name", descending=False)
    return paging.answer(part, _service)


@router.get("/services/{name}/versions", response=Paged[ServiceVersionShape])
def list_versions(request: HttpRequest, name: str) -> dict[str, Any]:
    """List what the service's registry offers, newest first."""
    service = access.get_or_404(_reader(request), Service, name=name)
    return paging.whole(_version(service, each) for each in versions.versions(service))


@router.get("/environments", response=Paged[EnvironmentShape])
def list_environments(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:
    """List environments by name."""
    part = paging.page(environments_for(_reader(request)), query=query, key="name", descending=False)
    return paging.answer(part, _environment)


def _reader(request: HttpRequest) -> User:
    user = actor_of(request).user
    assert user is not None
    return user


def _service(service: Service) -> dict[str, Any]:
    return {
        "name": service.name,
        "title": service.title,
        "team": service.team.key,
        "system": service.system,
        "core": service.core,
        "image": service.image,
        "environments": [each.name for each in seen_environments(service)],
    }


def _version(service: Service, found: Resolved) -> dict[str, Any]:
    return {
        "version": found.version,
        "digest": found.digest,
        "image": f"{service.image}@{found.digest}",
        "commit": found.revision or None,
        "created_at": found.created,
    }


def _environment(environment: Environment) -> dict[str, Any]:
    return {
        "name": environment.name,
        "title": environment.title,
        "system": environment.system,
        "stage": environment.stage,
        "cluster": environment.cluster.name,
        "cluster_group": environment.cluster_group,
        "namespace": environment.namespace,
        "protected": environment.protected,
    }
