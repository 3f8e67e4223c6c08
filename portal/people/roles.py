"""What a role may be granted over, and what may not be held together."""

import re
from collections.abc import Callable, Collection, Iterable

from django.utils.translation import gettext_lazy as _

from portal.errors import Invalid, Missing, field_error
from portal.people.models import Role, Team

RoleAt = tuple[str, str]
SCOPE = re.compile(r"\*|(?:service|team|environment|cluster_group):[A-Za-z0-9](?:[A-Za-z0-9._-]{0,119})")
# These concern the whole portal; a narrower one would promise what no door asks for.
WHOLE_PORTAL = frozenset({Role.AUDITOR, Role.ADMINISTRATOR})
# Whether something of this name is there, by the kind of scope; the apps that know their rows join.
THERE: dict[str, Callable[[str], bool]] = {"team": lambda key: Team.objects.filter(key=key).exists()}


def check(wanted: Iterable[RoleAt], *, field: str = "roles") -> None:
    """Refuse roles and scopes that do not exist, all at once.

    Raises:
        Invalid: names every wrong entry.
    """
    missing = [error for role, scope in wanted for error in _faults(role, scope, field=field)]
    if missing:
        raise Invalid(_("Some roles cannot be granted as they stand."), missing=missing)


def _faults(role: str, scope: str, *, field: str) -> list[Missing]:
    faults = []
    if role not in Role.values:
        faults.append(field_error(field, _("There is no role {role}.").format(role=role)))
    if not SCOPE.fullmatch(scope):
        text = _('{scope} is no scope: write "team:KEY", "service:NAME", "environment:NAME" or "*".')
        faults.append(field_error(field, text.format(scope=scope)))
    elif role in WHOLE_PORTAL and scope != "*":
        faults.append(field_error(field, _("The role {role} has the scope *.").format(role=role)))
    return faults


def check_there(wanted: Iterable[RoleAt], *, field: str = "roles") -> None:
    """Refuse scopes that name nothing: a role there would wait for whoever takes the name later.

    Raises:
        Invalid: names every scope whose team, service, environment or cluster group is not there.
    """
    text = _("There is nothing of this name: {scope} (role {role}).")
    missing = [
        field_error(field, text.format(scope=scope, role=role))
        for role, scope in wanted
        if scope != "*" and not _is_there(scope)
    ]
    if missing:
        raise Invalid(_("Some roles cannot be granted as they stand."), missing=missing)


def _is_there(scope: str) -> bool:
    kind, _colon, name = scope.partition(":")
    return THERE[kind](name)


def check_together(held: Collection[RoleAt], *, field: str = "roles") -> None:
    """Refuse an auditor who holds another role: an auditor changes nothing.

    Raises:
        Invalid: the roles exclude each other.
    """
    roles = {role for role, _scope in held}
    if Role.AUDITOR in roles and len(roles) > 1:
        text = _("An auditor holds no other role, because an auditor changes nothing.")
        raise Invalid(text, missing=[field_error(field, text)])
