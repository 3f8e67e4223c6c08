"""Who may see, compose, restore, deploy, operate and stop: rights of the groups "ROLE@SCOPE".

The whole table is worked out afresh at each load; what is not in it is taken away.
"""

from collections.abc import Iterable, Iterator
from itertools import product

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q, QuerySet

from portal.people.groups import EVERYONE, group_name
from portal.people.models import Role, RoleAssignment, User
from releases.catalog.models import (
    Environment,
    EnvironmentGroupPermission,
    Service,
    ServiceGroupPermission,
)

COMPOSE = {Role.RELEASE_MANAGER, Role.PL, Role.TEAM_LEAD}
# Narrower than composing: data written since the backup are lost.
RESTORE = {Role.PL, Role.TEAM_LEAD}
DEPLOY = COMPOSE
OPERATE = DEPLOY | {Role.INFRA_SENIOR, Role.DIRECTOR}
STOP = OPERATE | {Role.QA, Role.ADMINISTRATOR}
# The whole portal's roles that see a private environment without a role in its scopes.
SEE_PRIVATE = {Role.AUDITOR, Role.ADMINISTRATOR, Role.DIRECTOR}

SERVICE_RIGHTS = {"view_service": set(Role), "compose_service": COMPOSE, "restore_service": RESTORE}
ENVIRONMENT_RIGHTS = {
    "view_environment": set(Role),
    "deploy_environment": DEPLOY,
    "operate_environment": OPERATE,
    "stop_environment": STOP,
}
# Group, right, key of the row.
Grant = tuple[str, str, int]


def grant() -> None:
    """Give the groups the rights that follow from the catalog; runs inside the load's transaction."""
    services = list(Service.objects.select_related("team").prefetch_related("environments"))
    environments = list(Environment.objects.prefetch_related("services__team"))
    on_services = {each for service in services for each in service_grants(service)}
    on_environments = {each for environment in environments for each in environment_grants(environment)}
    groups = _groups({name for name, _right, _key in on_services | on_environments})
    _settle(ServiceGroupPermission, Service, on_services, groups)
    _settle(EnvironmentGroupPermission, Environment, on_environments, groups)


def is_private(environment: Environment) -> bool:
    """Whether only people with a role in its scopes may see it."""
    return bool(environment.spec.get("visibility") == "private")


def service_grants(service: Service) -> Iterator[Grant]:
    """Every right on one service."""
    scopes = [f"service:{service.name}", f"team:{service.team.key}", "*"]
    environments = list(service.environments.all())
    hidden = bool(environments) and all(map(is_private, environments))
    for scope, (right, roles) in product(scopes, SERVICE_RIGHTS.items()):
        yield from ((group_name(role, scope), right, service.pk) for role in _of(scope, roles, hidden=hidden))
    if not hidden:
        yield (EVERYONE, "view_service", service.pk)


def environment_grants(environment: Environment) -> Iterator[Grant]:
    """Every right on one environment."""
    scopes = scopes_at(environment, environment.services.all())
    hidden = is_private(environment)
    for scope, (right, roles) in product(sorted(scopes), ENVIRONMENT_RIGHTS.items()):
        yield from (
            (group_name(role, scope), right, environment.pk) for role in _of(scope, roles, hidden=hidden)
        )
    if not hidden:
        yield (EVERYONE, "view_environment", environment.pk)


def scopes_at(environment: Environment, services: Iterable[Service]) -> set[str]:
    """The scopes in which a role counts for services in an environment; their teams are read already."""
    scopes = {f"environment:{environment.name}", f"cluster_group:{environment.cluster_group}", "*"}
    for each in services:
        scopes |= {f"service:{each.name}", f"team:{each.team.key}"}
    return scopes


def in_charge(environment: Environment, services: Iterable[Service]) -> QuerySet[User]:
    """The people who may bring services out in an environment, by whatever scope."""
    hidden = is_private(environment)
    held = Q(pk=None)
    for scope in scopes_at(environment, services):
        held |= Q(scope=scope, role__in=_of(scope, DEPLOY, hidden=hidden))
    rows = RoleAssignment.objects.filter(held, revoked_at=None)
    return User.objects.filter(is_active=True, pk__in=rows.values("user")).order_by("username")


def _of(scope: str, roles: set[Role], *, hidden: bool) -> set[Role]:
    return roles & SEE_PRIVATE if hidden and scope == "*" else roles


def _groups(names: Iterable[str]) -> dict[str, int]:
    Group.objects.bulk_create([Group(name=name) for name in sorted(names)], ignore_conflicts=True)
    return dict(Group.objects.filter(name__in=names).values_list("name", "pk"))


def _settle(
    table: type[ServiceGroupPermission] | type[EnvironmentGroupPermission],
    model: type[Model],
    grants: set[Grant],
    groups: dict[str, int],
) -> None:
    """Make the table hold exactly these rights."""
    content_type = ContentType.objects.get_for_model(model)
    permissions = dict(Permission.objects.filter(content_type=content_type).values_list("codename", "pk"))
    wanted = {(groups[name], permissions[right], key) for name, right, key in grants}
    present = {
        (group, permission, key): pk
        for pk, group, permission, key in table.objects.values_list(
            "pk", "group_id", "permission_id", "content_object_id"
        )
    }
    table.objects.filter(pk__in=[pk for row, pk in present.items() if row not in wanted]).delete()
    table.objects.bulk_create(
        table(group_id=group, permission_id=permission, content_object_id=key)
        for group, permission, key in sorted(wanted - present.keys())
    )
