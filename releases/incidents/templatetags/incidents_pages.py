"""How the board, a service's page, a failed rollout and a release lead to an incident."""

from collections.abc import Collection
from typing import Any

from django import template
from django.utils.functional import SimpleLazyObject

from portal import access, asked
from portal.people.models import User
from portal.reader import reader_of
from releases.catalog.models import Environment, Service
from releases.incidents import queries
from releases.incidents.models import Incident
from releases.incidents.operations import RIGHT
from releases.incidents.people import any_open
from releases.models import Release
from releases.rollouts.models import Rollout

register = template.Library()


@register.inclusion_tag("incidents/_opens.html", takes_context=True)
def incident_here(
    context: template.Context, service: Service, environment: Environment, *, rollout: Rollout | None = None
) -> dict[str, Any]:
    """Lead to the open incident of a service, or open one with one press where the person may."""
    user = context["request"].user
    standing = queries.ongoing_at(service, environment)
    return {
        "standing": standing,
        "may_open": standing is None and access.allowed(user, RIGHT, environment),
        "service": service,
        "environment": environment,
        "rollout": rollout,
        "csrf_token": context.get("csrf_token"),
    }


@register.inclusion_tag("incidents/_opens_for.html", takes_context=True)
def incident_for(context: template.Context, rollout: Rollout) -> dict[str, Any]:
    """Lead to the open incidents of a rollout that failed as a whole, or to where its service is chosen."""
    user = _user(context)
    services = queries.services_of(rollout, user)
    standing = queries.ongoing_among(services, rollout.environment)
    lacking = [each for each in services if each.pk not in standing]
    return {
        "standing": list(standing.values()),
        "lacking": lacking if access.allowed(user, RIGHT, rollout.environment) else [],
        "alone": len(services) == 1,
        "environment": rollout.environment,
        "rollout": rollout,
        "csrf_token": context.get("csrf_token"),
    }


@register.simple_tag(takes_context=True)
def ongoing_incidents(context: template.Context) -> list[Incident]:
    """The open incidents that the person may see, without those who opened them."""
    reader = reader_of(context["request"])
    if reader is None or asked.first(reader, any_open) is None:
        return []
    return list(queries.visible_incidents(reader.user).select_related(None))


@register.simple_tag(takes_context=True)
def operable_environments(context: template.Context) -> Collection[int]:
    """The environments in which the person may open one; asked for where something is in a bad way."""
    user = _user(context)
    return SimpleLazyObject(
        lambda: set(access.visible_set(user, Environment, RIGHT).values_list("pk", flat=True))
    )


@register.simple_tag(takes_context=True)
def incidents_of(context: template.Context, release: Release) -> list[Incident]:
    """Those that a release was composed for or is linked with."""
    return list(queries.incidents_of(_user(context), release))


def _user(context: template.Context) -> User:
    user = context["request"].user
    assert isinstance(user, User)
    return user
