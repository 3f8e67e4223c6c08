"""Every service with what policies look at: its team, where it goes, and who may compose a release of it."""

from collections import defaultdict

from approvals.coverage import Concern
from portal.people.models import RoleAssignment
from releases.catalog.models import Service
from releases.catalog.rights import COMPOSE


def concerns() -> list[Concern]:
    """Return one entry for each service and cluster group that it goes to, in a fixed number of queries."""
    composers = _composers()
    found = []
    for service in Service.objects.select_related("team").prefetch_related("environments"):
        scopes = (f"service:{service.name}", f"team:{service.team.key}", "*")
        authors = frozenset[int]().union(*(composers.get(scope, ()) for scope in scopes))
        for group in sorted({each.cluster_group for each in service.environments.all()}):
            found.append(
                Concern(service=service.name, team=service.team.key, cluster_group=group, authors=authors)
            )
    return found


def _composers() -> dict[str, set[int]]:
    """Who may compose, by the scope in which they may."""
    held = RoleAssignment.objects.filter(revoked_at=None, user__is_active=True, role__in=COMPOSE)
    found: dict[str, set[int]] = defaultdict(set)
    for scope, person in held.values_list("scope", "user"):
        found[scope].add(person)
    return found
