"""Which delegations may stand beside each other: the graph is one hop, and dated (attacks.md, 1a). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class Clash(Enum):
    """Why a delegation can't be given while another one stands."""

    SAME = "same"
    LOOP = "loop"
    GIVEN_ON = "given_on"
    GIVEN_AWAY = "given_away"


@dataclass(frozen=True, kw_only=True)
class Term:
    """One delegation: who decides for whom in what, from one moment until before another."""

    giver: int
    taker: int
    role: str
    scope: str
    starts_at: datetime
    ends_at: datetime

    def overlaps(self, other: "Term") -> bool:
        """Whether there is a moment in which both are in force."""
        return self.starts_at < other.ends_at and other.starts_at < self.ends_at

    def is_about(self, other: "Term") -> bool:
        """Whether both are of the same role in the same scope."""
        return (self.role, self.scope) == (other.role, other.scope)


def clash(wanted: Term, standing: Iterable[Term]) -> tuple[Clash, Term] | None:
    """Return the first standing delegation that forbids the wanted one, and why; None where none does.

    At no moment do two people stand in for each other, whatever the role. At no moment does somebody who
    stands in for another in a role and scope have that role and scope given away to a third.
    """
    for other in standing:
        if wanted.overlaps(other) and (why := _why(wanted, other)):
            return why, other
    return None


def _why(wanted: Term, other: Term) -> Clash | None:
    if (wanted.giver, wanted.taker) == (other.taker, other.giver):
        return Clash.LOOP
    if not wanted.is_about(other):
        return None
    if (wanted.giver, wanted.taker) == (other.giver, other.taker):
        return Clash.SAME
    if wanted.giver == other.taker:
        return Clash.GIVEN_ON
    return Clash.GIVEN_AWAY if wanted.taker == other.giver else None
