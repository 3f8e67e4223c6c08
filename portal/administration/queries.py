"""What an administrator's page of a person shows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from allauth.mfa.models import Authenticator
from django.db.models import Prefetch, Q, QuerySet
from django.utils.translation import gettext as _

from portal.delegations import queries as delegations
from portal.people.forms import SCOPE_NAMES
from portal.people.models import AccessToken, Delegation, Role, RoleAssignment, User
from portal.people.queries import is_administrator, roles_of
from portal.people.tokens import scopes_of
from portal.ui.looks import role_name, scope_name

EARLIER = 20


@dataclass(frozen=True, kw_only=True)
class Consequence:
    """What else would happen if an account were closed.

    Attributes:
        grave: whether something could not go on then.
        link: where it is seen; "" for nowhere.
    """

    text: str
    link: str = ""
    grave: bool = False


# Who knows of more that hangs on a person; the parts above join.
CONSEQUENCES: list[Callable[[User], list[Consequence]]] = []


def may_read(user: User) -> bool:
    """Whether the person sees how others come in: administrators, and auditors to read."""
    return roles_of(user).filter(role__in=[Role.ADMINISTRATOR, Role.AUDITOR], scope="*").exists()


def people(text: str = "", *, active: bool | None = None) -> QuerySet[User]:
    """People with the roles they hold (`held`), those whose name, account or address has the text in it."""
    held = RoleAssignment.objects.filter(revoked_at=None).order_by("role", "scope")
    found = User.objects.prefetch_related(Prefetch("assignments", queryset=held, to_attr="held"))
    if active is not None:
        found = found.filter(is_active=active)
    if text:
        found = found.filter(Q(name__icontains=text) | Q(username__icontains=text) | Q(email__icontains=text))
    return found


def account(person: User, *, reader: User) -> dict[str, Any]:
    """All that is known of one person's account."""
    grants = RoleAssignment.objects.filter(user=person).select_related("granted_by")
    reach = scopes_of(person)
    tokens = AccessToken.objects.filter(user=person, revoked_at=None)
    given = delegations.visible_to(reader)
    return {
        "person": person,
        "administers": is_administrator(reader),
        "may_edit": is_administrator(reader) and reader != person,
        "grants": grants.filter(revoked_at=None).order_by("scope", "role"),
        "earlier": grants.exclude(revoked_at=None).order_by("-revoked_at")[:EARLIER],
        "given": delegations.standing_of(delegations.not_over(given.filter(giver=person))),
        "taken": delegations.standing_of(delegations.not_over(given.filter(taker=person))),
        "tokens": [
            {"row": row, "may": [SCOPE_NAMES[scope] for scope in row.scopes if scope in reach]}
            for row in tokens
        ],
        "factors": [factor.wrap() for factor in Authenticator.objects.filter(user=person).order_by("pk")],
    }


def consequences(person: User) -> list[Consequence]:
    """What closing the account would do besides, the grave first."""
    found = [each for ask in (*CONSEQUENCES, _delegations_that_end) for each in ask(person)]
    return sorted(found, key=lambda each: not each.grave)


def _delegations_that_end(person: User) -> list[Consequence]:
    theirs = Delegation.objects.filter(Q(giver=person) | Q(taker=person)).select_related("giver", "taker")
    text = _("{taker} no longer decides for {giver} as {role} ({scope}).")
    return [
        Consequence(
            text=text.format(
                taker=row.taker, giver=row.giver, role=role_name(row.role), scope=scope_name(row.scope)
            )
        )
        for row in delegations.not_over(theirs).order_by("id")
    ]
