"""Until when somebody's review is awaited, and whether that time is over: what stands beside a state."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from approvals import queries as approval_queries
from approvals.models import Request
from approvals.states import Phase
from portal import clock
from releases.models import Release
from releases.reminders import awaited


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """When a review should be given; `is_over` when it should have been."""

    at: datetime
    is_over: bool


def deadlines_of(releases: Iterable[Release]) -> dict[int, Deadline]:
    """The deadlines that run, by release number; a review that was given has none, whatever else is open."""
    asked = {
        release.number: (request, request.deadline_at, phase)
        for release in releases
        if (request := release.approval_request) and request.deadline_at and (phase := awaited(release))
    }
    given = _given(request for request, _at, phase in asked.values() if phase == Phase.OWED)
    waiting = {number: at for number, (request, at, _phase) in asked.items() if request.pk not in given}
    now = clock.now() if waiting else None
    return {number: Deadline(at=at, is_over=now is not None and at <= now) for number, at in waiting.items()}


def _given(requests: Iterable[Request]) -> set[int]:
    """The requests whose owed review nobody waits for."""
    keys = [request.pk for request in requests]
    standings = approval_queries.standings(keys) if keys else {}
    return {key for key, standing in standings.items() if not standing.open(Phase.OWED)}
