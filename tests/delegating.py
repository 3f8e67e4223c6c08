"""Delegations for tests, given by the operation or, of other times, written as they would stand now."""

from datetime import timedelta
from typing import Any

from portal import clock
from portal.delegations.operations import give_delegation
from portal.people.models import Delegation, User
from tests.people import acting

WEEK = timedelta(days=7)


def give(
    giver: User, taker: User, role: str, scope: str, *, actor: User | None = None, **more: Any
) -> Delegation:
    """Let the giver give for a week from now, or as `more` has it."""
    return give_delegation(
        giver=giver.username,
        taker=taker.username,
        role=role,
        scope=scope,
        actor=acting(actor or giver),
        ends_at=more.pop("ends_at", clock.now() + WEEK),
        **more,
    )


def let_run_out(delegation: Delegation) -> None:
    """Move its days into the past, as if its time had passed."""
    now = clock.now()
    Delegation.objects.filter(pk=delegation.pk).update(
        made_at=now - WEEK, starts_at=now - WEEK, ends_at=now - timedelta(seconds=1)
    )
