"""Ending delegations before their time: by hand, or together with what they hang on."""

from collections.abc import Callable, Iterable

from django.db.models import Q

from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.people.models import Delegation, User

# Who wants to know of each ended one, in its transaction; the parts that send messages join.
TOLD: list[Callable[[Delegation], None]] = []


def end_those_of_role(giver: User, *, role: str, scope: str, actor: Actor, reason: str) -> None:
    """End what a person gave of a role that they no longer hold: giving on needs holding."""
    _end_all(Q(giver=giver, role=role, scope=scope), actor=actor, reason=reason)


def end_those_taken(taker: User, *, actor: Actor, reason: str) -> None:
    """End what a person was given, as when the account is closed."""
    _end_all(Q(taker=taker), actor=actor, reason=reason)


def end_early(delegation: Delegation, *, actor: Actor, reason: str) -> None:
    """End a locked delegation now; what was decided by it no longer counts."""
    delegation.ended_at, delegation.ended_by = clock.now(), actor.user
    delegation.save(update_fields=["ended_at", "ended_by"])
    record(
        "delegation.ended",
        actor=actor,
        subject=("delegation", str(delegation.pk)),
        before={"from": delegation.giver.username, "to": delegation.taker.username},
        after={"role": delegation.role, "scope": delegation.scope},
        reason=reason,
    )
    for tell in TOLD:
        tell(delegation)


def _end_all(which: Q, *, actor: Actor, reason: str) -> None:
    for delegation in _locked(which):
        end_early(delegation, actor=actor, reason=reason)


def _locked(which: Q) -> Iterable[Delegation]:
    """Those not over yet; one that ran out by its date stays what it was."""
    rows = Delegation.objects.filter(which, ended_at=None, ends_at__gt=clock.NOW)
    return rows.select_for_update(of=("self",)).select_related("giver", "taker").order_by("id")
