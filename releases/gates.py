"""What is measured of a release while people are awaited, and what of it stands against going on."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from portal import clock
from portal.errors import Missing
from portal.ui import times
from releases.models import CheckPhase, CheckResult, Gate, GateResult, Release
from releases.observations import name_of, said
from releases.operating import plan_of
from releases.states import PENDING, ReleaseState

S = ReleaseState
# How often, where the plan says nothing (seconds).
INTERVAL_SECONDS = 30
MARK_WIDTH = 6
# In which states of the release an item of each phase is measured.
ITEMS_IN = {
    CheckPhase.BEFORE: PENDING | {S.SUBMITTED},
    CheckPhase.DURING: frozenset({S.ROLLING_OUT, S.PAUSED, S.VERIFYING, S.AWAITING_SIGNOFF}),
    CheckPhase.AFTER: frozenset({S.AWAITING_SIGNOFF, S.SWITCHING}),
}
# Out already: what was found well stands, what is open is measured until it can be closed.
OUT = frozenset({S.ANNOUNCED, S.REVIEW_OWED, S.FAILED})


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one measurement came to."""

    result: GateResult
    observed: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One result in the small line: a bad one reaches from top to bottom, so that no colour is needed."""

    result: str
    x: int
    y: int
    height: int


@dataclass(frozen=True, kw_only=True)
class GateView:
    """A gate with its words; `marks` are its latest results, oldest first."""

    gate: Gate
    name: str
    text: str
    marks: tuple[Mark, ...]

    @property
    def tally(self) -> str:
        """The small line in words."""
        bad = sum(1 for mark in self.marks if mark.result == GateResult.BREACHED)
        return _("{bad} of the latest {count} measurements bad").format(bad=bad, count=len(self.marks))


def interval_of(release: Release) -> timedelta:
    """How long after a measurement the next one follows, by the release's plan."""
    return timedelta(seconds=plan_of(release).get("measureSeconds") or INTERVAL_SECONDS)


def measured_now() -> QuerySet[Gate]:
    """The gates that the states of their releases ask to be measured."""
    wanted = Q(item=None, release__state=S.AWAITING_SIGNOFF)
    for phase, states in ITEMS_IN.items():
        wanted |= Q(item__phase=phase, release__state__in=states)
    still_open = Q(item__phase=CheckPhase.AFTER, release__state__in=OUT) & ~Q(item__result=CheckResult.DONE)
    return Gate.objects.filter(wanted | still_open)


def gates_of(release: Release) -> list[GateView]:
    """The checks after the waves that are measured on, with their latest results, breaches first."""
    gates = release.gates.filter(item=None).select_related("service", "ignored_by")
    found = sorted(gates, key=lambda gate: gate.breached_at is None)
    return [
        GateView(
            gate=gate,
            name=name_of(gate),
            text=said(gate.observed),
            marks=tuple(_mark(place, each["result"]) for place, each in enumerate(gate.history)),
        )
        for gate in found
    ]


def missing_gates(release: Release) -> list[Missing]:
    """The breaches that turn the sign-off off: neither green again nor ignored with a reason."""
    standing = release.gates.filter(item=None, breached_at__isnull=False, ignored_at=None)
    return [_missing(gate) for gate in standing.select_related("service")]


def breach_sentence(gate: Gate) -> str:
    """Which gate, since when, and what was seen last."""
    assert gate.breached_at is not None
    return _("{gate} is breached since {time}: {seen}").format(
        gate=name_of(gate), time=_moment(gate.breached_at), seen=said(gate.observed)
    )


def _mark(place: int, result: str) -> Mark:
    height = {GateResult.BREACHED: 16, GateResult.PASSED: 6}.get(GateResult(result), 9)
    return Mark(result=result, x=place * MARK_WIDTH, y=16 - height, height=height)


def _missing(gate: Gate) -> Missing:
    return {"code": "gate", "id": gate.pk, "breach": gate.breaches, "text": breach_sentence(gate)}


def _moment(at: datetime) -> str:
    return times.absolute(at, now=clock.now())
