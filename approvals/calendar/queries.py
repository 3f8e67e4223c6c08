"""What of the calendar stands, for a place or for everybody, and who may change it."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import Q, QuerySet
from django.db.models.expressions import Combinable
from django.utils.translation import gettext as _

from approvals.calendar import places
from approvals.calendar.models import EVERYWHERE, Freeze, OpenHours
from approvals.calendar.places import Place
from approvals.calendar.rules import Closing, Rule, Verdict, Window, Windows, evaluate
from approvals.calendar.zones import zone_named
from portal import access, clock
from portal.errors import Missing
from portal.people.models import Role, RoleAssignment, User
from portal.statements import Given, Question
from portal.ui.looks import role_entry

# Stopping is wide and lifting is narrower, as with a rollout: starting again takes a role that approves.
MAY_ADD = frozenset({Role.RELEASE_MANAGER, Role.TEAM_LEAD, Role.DIRECTOR, Role.ADMINISTRATOR})
MAY_STOP = MAY_ADD | {Role.PL, Role.INFRA_SENIOR, Role.QA}
MAY_LIFT = frozenset({Role.TEAM_LEAD, Role.DIRECTOR, Role.ADMINISTRATOR})

_HOURS = Question(lambda: OpenHours.objects.filter(scope__among=Given("scopes"), ended_at=None))
_FREEZES = Question(lambda: standing(Given("at")).filter(scope__among=Given("scopes")))


def standing(at: datetime | Combinable) -> QuerySet[Freeze]:
    """Freezes that hold at a moment, or will; `clock.NOW` is read together with them."""
    return Freeze.objects.filter(Q(ends_at=None) | Q(ends_at__gt=at), lifted_at=None)


def holding(at: datetime | Combinable) -> QuerySet[Freeze]:
    """Freezes that hold at a moment."""
    return standing(at).filter(starts_at__lte=at)


def state_of(freeze: Freeze, *, at: datetime) -> str:
    """Where it stands at a moment: planned, holding, over or lifted."""
    if freeze.lifted_at is not None:
        return "lifted"
    if freeze.starts_at > at:
        return "planned"
    return "over" if freeze.ends_at is not None and freeze.ends_at <= at else "holding"


def title_of(freeze: Freeze) -> str:
    """What people call it; a stop may have no name of its own."""
    return freeze.name or _("Stop the line")


def closing_of(freeze: Freeze) -> Closing:
    """The freeze as a rule."""
    return Closing(
        id=freeze.pk,
        name=title_of(freeze),
        reason=freeze.reason,
        starts=freeze.starts_at,
        ends=freeze.ends_at,
    )


def hours_of(scopes: Iterable[str]) -> list[OpenHours]:
    """The windows that stand for these places, said on the page."""
    return _HOURS.ask(scopes=list(scopes))


def window_of(hours: OpenHours) -> Window:
    """The row as a rule."""
    return Window(
        days=frozenset(hours.days),
        start=hours.opens_at,
        end=hours.closes_at,
        zone=zone_named(hours.zone),
        first=hours.first_day,
        last=hours.last_day,
    )


def rules_for(place: Place, windows: Windows | None, *, at: datetime) -> list[Rule]:
    """Everything that has a say at a place from a moment on."""
    freezes = _FREEZES.ask(at=at, scopes=list(place.scopes))
    return [*([] if windows is None else [windows]), *(closing_of(freeze) for freeze in freezes)]


def verdict_for(place: Place, windows: Windows | None, *, at: datetime | None = None) -> Verdict:
    """Say whether work may begin at a place; the one evaluator behind every door.

    Args:
        windows: the windows of the environment; None where it has none and is open at all times.
        at: the database's time when left out.
    """
    moment = clock.now() if at is None else at
    return evaluate(rules_for(place, windows, at=moment), moment)


def seen_by(user: User, freezes: Sequence[Freeze]) -> list[Freeze]:
    """Those whose place the person may know of."""
    seen = {scope: places.is_seen(user, scope) for scope in {freeze.scope for freeze in freezes}}
    return [freeze for freeze in freezes if seen[freeze.scope]]


def may_add(user: User, scope: str) -> bool:
    """Whether the person may freeze this place for a time."""
    return _holds(user, MAY_ADD, places.within(scope))


def may_stop(user: User, scope: str) -> bool:
    """Whether the person may stop the line here at once."""
    return _holds(user, MAY_STOP, places.within(scope))


def may_lift(user: User, freeze: Freeze, *, at: datetime) -> bool:
    """Whether the person may lift it; who stopped the line does not start it again alone."""
    if freeze.is_stop and freeze.added_by_id == user.pk:
        return False
    if freeze.starts_at > at:
        return may_add(user, freeze.scope)
    return _holds(user, MAY_LIFT, places.above(freeze.scope))


def may_set_windows(user: User, scope: str) -> bool:
    """Whether the person may say when a place is open: who lifts what closes the whole of it."""
    held = {place for role, place in access.roles_of(user) if role in MAY_LIFT}
    return EVERYWHERE in held or (bool(held) and not held.isdisjoint(places.above(scope)))


def who_sets_windows(scope: str) -> list[Missing]:
    """The roles that say when a place is open, with who holds them."""
    return who_may(MAY_LIFT, places.above(scope))


def who_may(roles: frozenset[Role], scopes: frozenset[str], *, but: int | None = None) -> list[Missing]:
    """The roles that would do, with who holds them, as a refusal names them.

    Args:
        but: the one person who may not, whatever they hold.
    """
    held = RoleAssignment.objects.filter(role__in=roles, scope__in=scopes, revoked_at=None)
    held = held.filter(user__is_active=True).exclude(user=but).select_related("user")
    found: dict[tuple[str, str], list[str]] = {}
    for each in held.order_by("scope", "role", "user__username"):
        found.setdefault((each.role, each.scope), []).append(each.user.get_full_name())
    return [role_entry(role, scope, names) for (role, scope), names in found.items()]


def lifters(freeze: Freeze) -> list[Missing]:
    """Who may lift it once it holds."""
    own = freeze.added_by_id if freeze.is_stop else None
    return who_may(MAY_LIFT, places.above(freeze.scope), but=own)


def _holds(user: User, roles: frozenset[Role], scopes: frozenset[str]) -> bool:
    return any(role in roles and scope in scopes for role, scope in access.roles_of(user))
