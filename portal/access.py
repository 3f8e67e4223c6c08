"""Who may do what to which row. The default answer is no.

Rights are granted to groups "ROLE@SCOPE" on Service and Environment; other models name the row their rights
hang on (`ACCESS_VIA`). Views and operations ask here and never filter by themselves.
"""

from collections.abc import Collection
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet
from guardian.utils import get_group_obj_perms_model
from psycopg.sql import SQL, Identifier

from portal.actors import Actor
from portal.errors import Missing, NotAllowed, NotFound
from portal.people.groups import group_name
from portal.people.models import RoleAssignment, User
from portal.ui.looks import role_entry

Row = TypeVar("Row", bound=Model)
# What a refusal names first: the people nearest to the row.
SCOPE_ORDER = ("service", "team", "environment", "cluster_group", "*")
MOST_ROLES = 6
# Of many rows or people at once: statements of their own, as writing them anew takes longer than they do.
HELD = """
SELECT held.content_object_id FROM {table} AS held
JOIN auth_permission AS permission ON permission.id = held.permission_id
JOIN people_user_groups AS member ON member.group_id = held.group_id
WHERE permission.codename = %(codename)s AND member.user_id = %(user)s
"""
AMONG = "AND held.content_object_id = ANY(%(among)s)"
SEES = """
SELECT member.user_id FROM people_user_groups AS member
JOIN people_user AS person ON person.id = member.user_id AND person.is_active
WHERE member.user_id = ANY(%(users)s) AND EXISTS (
    SELECT FROM {table} AS held JOIN auth_permission AS permission ON permission.id = held.permission_id
    WHERE held.group_id = member.group_id AND permission.codename = %(codename)s
        AND held.content_object_id = ANY(%(among)s)
)
"""


def anchor(row: Model) -> Model:
    """The row that carries the rights of this one."""
    via = getattr(row, "ACCESS_VIA", None)
    if via is None:
        return row
    target = getattr(row, via)
    assert isinstance(target, Model)
    return anchor(target)


def allowed(user: User, right: str, row: Model) -> bool:
    """Whether the person has the right ("view", "compose", "deploy", …) on the row, as of now."""
    if not user.is_active:
        return False
    target = anchor(row)
    return _held(user, type(target), right).filter(content_object=target.pk).exists()


def visible_set(user: User, model: type[Row], right: str) -> QuerySet[Row]:
    """Rows of a model with rights of its own on which the person has the right."""
    if not user.is_active:
        return model._default_manager.none()
    held = _held(user, model, right)
    return model._default_manager.filter(pk__in=held.values("content_object"))


def keys(user: User, model: type[Model], right: str, *, among: Collection[int] | None = None) -> set[int]:
    """The keys of the rows, with rights of their own, on which the person has the right.

    Args:
        among: the keys in question; all where it is None.
    """
    if not user.is_active:
        return set()
    if among is None:
        return _found(model, right, HELD, user=user.pk)
    return _found(model, right, HELD + AMONG, user=user.pk, among=list(among))


def _found(model: type[Model], right: str, statement: str, **asked: int | list[int]) -> set[int]:
    """The keys that a statement finds about guardian's rows of a right on a model."""
    codename: str = model.ACCESS_CODENAMES[right]  # type: ignore[attr-defined]
    table = Identifier(get_group_obj_perms_model(model)._meta.db_table)  # type: ignore[arg-type]  # as below
    with connection.cursor() as cursor:
        cursor.execute(SQL(statement).format(table=table), {"codename": codename, **asked})
        return {key for (key,) in cursor.fetchall()}


def _held(user: User, model: type[Model], right: str) -> QuerySet[Model]:
    """Guardian's rows by which a person has a right; planned sooner without the groups' own table."""
    groups = User.groups.through._default_manager.filter(user=user)
    return _grants(model, right).filter(group__in=groups.values("group"))


def _grants(model: type[Model], right: str) -> QuerySet[Model]:
    """Guardian's rows of a right on a model; people get rights by their groups alone."""
    codename: str = model.ACCESS_CODENAMES[right]  # type: ignore[attr-defined]
    table: type[Model] = get_group_obj_perms_model(model)  # type: ignore[arg-type]  # takes a class as well
    return table._default_manager.filter(permission__codename=codename)


def visible(user: User, model: type[Row], right: str = "view") -> QuerySet[Row]:
    """Rows of any model on which the person has the right, directly or through `ACCESS_VIA`."""
    via = getattr(model, "ACCESS_VIA", None)
    if via is None:
        return visible_set(user, model, right)
    parent = model._meta.get_field(via).related_model
    assert isinstance(parent, type)
    return model._default_manager.filter(**{f"{via}__in": visible(user, parent, right)})


def who_sees(users: Collection[User], model: type[Row], **lookup: Any) -> list[User]:
    """Those of the people who see the one row, asked for all of them in one query besides the row's own."""
    anchored, path = _anchored(model)
    rows = list(model._default_manager.filter(**lookup).values_list(path, flat=True)[:1])
    if not rows:
        return []
    seeing = _found(anchored, "view", SEES, users=[user.pk for user in users], among=rows)
    return [user for user in users if user.pk in seeing]


def _anchored(model: type[Model]) -> tuple[type[Model], str]:
    """The model that carries the rights of this one, and the way from a row to that one's key."""
    via = getattr(model, "ACCESS_VIA", None)
    if via is None:
        return model, "pk"
    parent = model._meta.get_field(via).related_model
    assert isinstance(parent, type)
    anchored, path = _anchored(parent)
    return anchored, f"{via}__{path}"


def get_or_404(user: User, model: type[Row], right: str = "view", **lookup: Any) -> Row:
    """Return the one visible row, or raise NotFound for a missing and for a forbidden one alike."""
    row = visible(user, model, right).filter(**lookup).first()
    if row is None:
        raise NotFound
    return row


def require(actor: Actor, right: str, row: Model) -> None:
    """Raise unless the actor's person has the right; the portal itself passes where it acts by order."""
    if actor.user is None:
        return
    if not allowed(actor.user, "view", row):
        raise NotFound
    if not allowed(actor.user, right, row):
        raise NotAllowed(missing=who_may(right, row))


def who_may(right: str, row: Model) -> list[Missing]:
    """The roles that carry the right on the row and who holds them, as a refusal names them."""
    people: dict[tuple[str, str], list[str]] = {}
    for each in assignments_with(right, row):
        people.setdefault((each.role, each.scope), []).append(each.user.get_full_name())
    return [role_entry(*at, names) for at, names in list(people.items())[:MOST_ROLES]]


def assignments_with(right: str, row: Model) -> list[RoleAssignment]:
    """The roles of active people that carry the right on the row, the nearest to it first."""
    target = anchor(row)
    granted = _grants(type(target), right).filter(content_object=target.pk)
    groups = set(granted.values_list("group__name", flat=True))
    held = RoleAssignment.objects.filter(revoked_at=None, user__is_active=True).select_related("user")
    found = [each for each in held if group_name(each.role, each.scope) in groups]
    return sorted(found, key=_nearness)


def _nearness(held: RoleAssignment) -> tuple[int, str, str, str]:
    kind = held.scope.partition(":")[0]
    return SCOPE_ORDER.index(kind), held.role, held.scope, held.user.username


def has_role(user: User, role: str, scope: str = "*") -> bool:
    """Whether the active person holds exactly this role in this scope now."""
    held = RoleAssignment.objects.filter(user=user, role=role, scope=scope, revoked_at=None)
    return user.is_active and held.exists()


def roles_of(user: User) -> frozenset[tuple[str, str]]:
    """The (role, scope) pairs that the active person holds now."""
    if not user.is_active:
        return frozenset()
    held = RoleAssignment.objects.filter(user=user, revoked_at=None)
    return frozenset(held.values_list("role", "scope"))
