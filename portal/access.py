"""Who may do what to which row. The default answer is no.

Rights are granted to groups "ROLE@SCOPE" on Service and Environment; other models name the row their rights
hang on (`ACCESS_VIA`). Views and operations ask here and never filter by themselves.
"""

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from guardian.shortcuts import get_objects_for_user

from portal.actors import Actor
from portal.errors import NotAllowed, NotFound
from portal.people.models import RoleAssignment, User

Row = TypeVar("Row", bound=Model)


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
    return visible_set(user, type(target), right).filter(pk=target.pk).exists()


def visible_set(user: User, model: type[Row], right: str) -> QuerySet[Row]:
    """Rows of a model with rights of its own on which the person has the right."""
    codename: str = model.ACCESS_CODENAMES[right]  # type: ignore[attr-defined]
    found: QuerySet[Row] = get_objects_for_user(
        user, f"{model._meta.app_label}.{codename}", klass=model, accept_global_perms=False
    )
    return found


def visible(user: User, model: type[Row], right: str = "view") -> QuerySet[Row]:
    """Rows of any model on which the person has the right, directly or through `ACCESS_VIA`."""
    via = getattr(model, "ACCESS_VIA", None)
    if via is None:
        return visible_set(user, model, right)
    parent = model._meta.get_field(via).related_model
    assert isinstance(parent, type)
    return model._default_manager.filter(**{f"{via}__in": visible(user, parent, right)})


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
        raise NotAllowed


def has_role(user: User, role: str, scope: str = "*") -> bool:
    """Whether the active person holds exactly this role in this scope now."""
    held = RoleAssignment.objects.filter(user=user, role=role, scope=scope, revoked_at=None)
    return user.is_active and held.exists()
