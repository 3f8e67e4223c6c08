"""Reading delegations: who may see which, and how each stands."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from portal import clock
from portal.people.models import DELEGATED, Delegation, Role, RoleAssignment, User
from portal.people.queries import is_administrator, roles_of


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One delegation at a moment.

    Attributes:
        state: planned, current, over (ran out by its date) or ended (early).
    """

    row: Delegation
    state: str

    @property
    def is_open(self) -> bool:
        """Whether it can still be ended."""
        return self.state in {"planned", "current"}


def visible_to(user: User) -> QuerySet[Delegation]:
    """The person's own, given and taken; every one for administrators and auditors. The newest first."""
    rows = Delegation.objects.select_related("giver", "taker", "made_by", "ended_by").order_by("-id")
    return rows if sees_everybody(user) else rows.filter(Q(giver=user) | Q(taker=user))


def sees_everybody(user: User) -> bool:
    """Whether the person sees delegations that are not theirs."""
    return roles_of(user).filter(role__in=[Role.ADMINISTRATOR, Role.AUDITOR], scope="*").exists()


def not_over(rows: QuerySet[Delegation]) -> QuerySet[Delegation]:
    """Those in force or still to come."""
    return rows.filter(ended_at=None, ends_at__gt=clock.NOW)


def state_of(row: Delegation, *, now: datetime) -> str:
    """Say how a delegation stands at a moment: planned, current, over or ended."""
    if row.ended_at is not None:
        return "ended"
    if row.ends_at <= now:
        return "over"
    return "planned" if row.starts_at > now else "current"


def standing_of(rows: QuerySet[Delegation]) -> list[Standing]:
    """Each with how it stands now."""
    now = clock.now()
    return [Standing(row=row, state=state_of(row, now=now)) for row in rows]


def may_give(user: User) -> list[RoleAssignment]:
    """What the person holds and may give on."""
    return list(roles_of(user).filter(role__in=DELEGATED))


def possible_takers(giver: User) -> QuerySet[User]:
    """Who could decide for the person: everybody else with an open account who is no auditor."""
    auditors = RoleAssignment.objects.filter(role=Role.AUDITOR, revoked_at=None)
    others = User.objects.filter(is_active=True).exclude(pk=giver.pk)
    return others.exclude(pk__in=auditors.values("user")).order_by("name", "username")


def givers() -> QuerySet[User]:
    """Everybody who holds something that can be given on."""
    held = RoleAssignment.objects.filter(revoked_at=None, role__in=DELEGATED)
    return User.objects.filter(is_active=True, pk__in=held.values("user")).order_by("name", "username")


def administers(user: User) -> bool:
    """Whether the person may give and end for others."""
    return is_administrator(user)
