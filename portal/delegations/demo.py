"""The one delegation of the demo: a team lead who is away, and the lead of the next team."""

from datetime import timedelta

from portal import clock
from portal.actors import Actor
from portal.delegations.operations import give_delegation
from portal.errors import Conflict, Invalid
from portal.people.models import Delegation, Role

GIVER, TAKER, SCOPE = "mikyung", "donghae", "team:cms"
LASTS = timedelta(days=30)


def load_delegation() -> bool:
    """Give it for a month, again when the month is over; say whether it was given.

    One that somebody ended stays ended for its month, and people changed since are left as they are.
    """
    theirs = Delegation.objects.filter(giver__username=GIVER, taker__username=TAKER)
    if theirs.filter(ends_at__gt=clock.NOW).exists():
        return False
    try:
        give_delegation(
            giver=GIVER,
            taker=TAKER,
            role=Role.TEAM_LEAD,
            scope=SCOPE,
            ends_at=clock.now() + LASTS,
            actor=Actor.portal("demo", door="cli"),
        )
    except (Invalid, Conflict):
        return False
    return True
