"""Over what roles can be granted besides teams, and which of them answer for a place of the catalog."""

from collections.abc import Callable

from approvals.calendar import places
from portal import access
from portal.people.models import User
from releases.catalog.models import Environment, Service

THERE: dict[str, Callable[[str], bool]] = {
    "service": lambda name: Service.objects.filter(name=name).exists(),
    "environment": lambda name: Environment.objects.filter(name=name).exists(),
    "cluster_group": lambda name: Environment.objects.filter(cluster_group=name).exists(),
}


def above(scope: str) -> frozenset[str]:
    """The scopes of roles that answer for the whole of a place."""
    kind, _colon, name = scope.partition(":")
    if kind == "service":
        teams = Service.objects.filter(name=name).values_list("team__key", flat=True)
        return frozenset({scope, *(f"team:{key}" for key in teams)})
    if kind == "environment":
        groups = Environment.objects.filter(name=name).values_list("cluster_group", flat=True)
        return frozenset({scope, *(f"cluster_group:{group}" for group in groups)})
    return frozenset({scope})


def within(scope: str) -> frozenset[str]:
    """The scopes of roles that answer for services of a place."""
    kind, _colon, name = scope.partition(":")
    services = Service.objects.select_related("team")
    found = (
        services.filter(environments__name=name) if kind == "environment" else services.filter(team__key=name)
    )
    if kind == "service":
        found = services.filter(name=name)
    return frozenset(each for row in found for each in (f"service:{row.name}", f"team:{row.team.key}"))


def is_seen(user: User, scope: str) -> bool:
    """Whether the person may see the environment or the service."""
    kind, _colon, name = scope.partition(":")
    model = Environment if kind == "environment" else Service
    return access.visible(user, model).filter(name=name).exists()


MAP = places.Map(above=above, within=within, is_seen=is_seen)
