"""Reads of the catalog, cut to what the person may see."""

from django.db.models import Prefetch, QuerySet

from portal import access
from portal.people.models import User
from portal.reader import Reader
from releases.catalog.models import Checklist, Environment, Plan, Service


def environments_for(user: User) -> QuerySet[Environment]:
    """The environments the person may see."""
    return access.visible(user, Environment).select_related("cluster")


def environments_seen(reader: Reader) -> tuple[int, ...]:
    """The keys of those, for queries that follow."""
    return tuple(access.keys(reader.user, Environment, "view"))


def services_for(user: User) -> QuerySet[Service]:
    """The services the person may see, each with those of its environments that they may see."""
    seen = Prefetch("environments", queryset=environments_for(user).order_by("name"), to_attr="seen")
    return access.visible(user, Service).select_related("team").prefetch_related(seen)


def plans_for(user: User) -> QuerySet[Plan]:
    """The plans of the environments the person may see."""
    return Plan.objects.filter(environments__in=environments_for(user)).distinct()


def checklists_naming(environment: Environment) -> list[Checklist]:
    """The templates that name the environment."""
    return [each for each in Checklist.objects.all() if environment.name in each.spec.get("environments", [])]


def seen_environments(service: Service) -> list[Environment]:
    """What `services_for` found for the service."""
    found: list[Environment] = service.seen  # type: ignore[attr-defined]
    return found
