"""Reading who holds what."""

from collections.abc import Iterable

from django.db.models import QuerySet

from portal import clock
from portal.people.models import Delegation, Role, RoleAssignment, User


def holders(role: str, scope: str) -> QuerySet[User]:
    """Active people who hold exactly this role in exactly this scope now (rules.md, "holder")."""
    held = RoleAssignment.objects.filter(role=role, scope=scope, revoked_at=None)
    return User.objects.filter(is_active=True, pk__in=held.values("user")).order_by("username")


def roles_of(user: User) -> QuerySet[RoleAssignment]:
    """The roles a person holds now; none when the account is closed."""
    return RoleAssignment.objects.filter(user=user, user__is_active=True, revoked_at=None).order_by(
        "role", "scope"
    )


def capacities(user: User) -> list[list[str]]:
    """The [role, scope] pairs of a person now, in order."""
    return [list(pair) for pair in roles_of(user).values_list("role", "scope")]


def administrators() -> QuerySet[User]:
    """Active people who administer the portal: they alone change roles, and are told what nobody else is."""
    held = RoleAssignment.objects.filter(role=Role.ADMINISTRATOR, revoked_at=None)
    return User.objects.filter(is_active=True, pk__in=held.values("user")).order_by("username")


def is_administrator(user: User) -> bool:
    """Whether the active person administers the portal."""
    return roles_of(user).filter(role=Role.ADMINISTRATOR, scope="*").exists()


def teams_of(user: User) -> list[str]:
    """Keys of the teams in which the person holds a role, in order."""
    return teams_in(roles_of(user).values_list("scope", flat=True))


def teams_in(scopes: Iterable[str]) -> list[str]:
    """Keys of the teams that are named among the scopes, in order."""
    return sorted({scope.removeprefix("team:") for scope in scopes if scope.startswith("team:")})


def delegations_in_force() -> QuerySet[Delegation]:
    """Delegations by which somebody may decide now, as long as the giver holds the role."""
    begun = Delegation.objects.filter(starts_at__lte=clock.NOW, ends_at__gt=clock.NOW, ended_at=None)
    return begun.filter(giver__is_active=True, taker__is_active=True).order_by("id")
