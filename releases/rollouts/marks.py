"""What is pinned, degraded, pending, moving or not as approved in some environments, read in one statement.

Boards ask this of all their cells, and most cells have nothing of it: what a cell has is read as a whole only
where it is shown.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from releases.catalog.models import Environment
from releases.rollouts.states import ACTIVE, LEFT, STANDING, FindingState, RolloutState
from releases.states import PENDING, SETTLED

# Service and environment.
Key = tuple[int, int]
GOING = ACTIVE | {RolloutState.PAUSED}
# One that did not end well still stands in the way until its release is settled, or a newer one is there.
MARKS = """
SELECT 'pinned', service_id, environment_id, id, '', false
FROM rollouts_pin WHERE environment_id = ANY(%(places)s) AND lifted_at IS NULL
UNION ALL
SELECT 'degraded', service_id, environment_id, id, '', false
FROM catalog_running WHERE environment_id = ANY(%(places)s) AND seen -> 'health' = '"degraded"'
UNION ALL
SELECT 'finding', service_id, environment_id, id, state, false
FROM rollouts_finding WHERE environment_id = ANY(%(places)s) AND state = ANY(%(standing)s)
UNION ALL
SELECT 'pending', item.service_id, release.environment_id, release.number, release.state, false
FROM releases_release AS release JOIN releases_item AS item ON item.release_id = release.number
WHERE release.environment_id = ANY(%(places)s) AND release.state = ANY(%(pending)s)
UNION ALL
SELECT 'rollout', item.service_id, rollout.environment_id, rollout.id, rollout.state,
       rollout.state = ANY(%(left)s) AND coalesce(running.release, 0) > rollout.release_id
FROM rollouts_rollout AS rollout
JOIN releases_release AS release ON release.number = rollout.release_id
JOIN releases_item AS item ON item.release_id = release.number
LEFT JOIN catalog_running AS running
    ON running.service_id = item.service_id AND running.environment_id = rollout.environment_id
WHERE rollout.environment_id = ANY(%(places)s)
    AND (
        rollout.state = ANY(%(going)s)
        OR rollout.state = ANY(%(left)s) AND NOT release.state = ANY(%(settled)s)
    )
"""


@dataclass
class Marks:
    """By service and environment what is to be said of it.

    Attributes:
        findings: the key of the one that stands.
        unsettled: where one asks for a decision.
        pending: the numbers of the releases that wait, the newest first.
        rollouts: the key of the newest one that is not over, or did not end well.
        states: the state of that one where it has not been replaced.
    """

    pinned: set[Key] = field(default_factory=set)
    degraded: set[Key] = field(default_factory=set)
    findings: dict[Key, int] = field(default_factory=dict)
    unsettled: set[Key] = field(default_factory=set)
    pending: dict[Key, list[int]] = field(default_factory=dict)
    rollouts: dict[Key, int] = field(default_factory=dict)
    states: dict[Key, str] = field(default_factory=dict)

    def filters(self) -> dict[str, set[Key]]:
        """By filter of the board the cells that it counts."""
        return {
            "degraded": self.degraded | self._in(LEFT),
            "moving": self._in(GOING),
            "drift": self.unsettled,
            "pinned": self.pinned,
        }

    def urgency(self) -> dict[Key, int]:
        """How urgent what needs somebody is, 0 first: failed or degraded, not approved, paused or stopped."""
        held = dict.fromkeys(self._in({RolloutState.PAUSED, RolloutState.STOPPED}), 2)
        failed = self.degraded | self._in(LEFT - {RolloutState.STOPPED})
        return held | dict.fromkeys(self.filters()["drift"], 1) | dict.fromkeys(failed, 0)

    def _in(self, states: Collection[str]) -> set[Key]:
        return {key for key, state in self.states.items() if state in states}

    def _add(self, kind: str, key: Key, row: int, state: str, *, is_replaced: bool) -> None:
        if kind == "pinned":
            self.pinned.add(key)
        elif kind == "degraded":
            self.degraded.add(key)
        elif kind == "finding":
            self.findings[key] = row
            self.unsettled |= {key} if state == FindingState.OPEN else set()
        elif kind == "pending":
            self.pending.setdefault(key, []).insert(0, row)
        else:
            self.rollouts[key] = row
            self.states.pop(key, None)
            self.states |= {} if is_replaced else {key: state}


def marks_in(environments: Sequence[Environment]) -> Marks:
    """Read what is to be said of the cells of some environments."""
    marks = Marks()
    with connection.cursor() as cursor:
        cursor.execute(MARKS, _parameters(environments))
        # The newest comes last.
        for kind, service, place, row, state, is_replaced in sorted(cursor.fetchall(), key=_row):
            marks._add(kind, (service, place), row, state, is_replaced=is_replaced)
    return marks


def _row(found: tuple[Any, ...]) -> int:
    key: int = found[3]
    return key


def _parameters(environments: Sequence[Environment]) -> dict[str, Any]:
    return {
        "places": [each.pk for each in environments],
        "standing": _words(STANDING),
        "pending": _words(PENDING),
        "going": _words(GOING),
        "left": _words(LEFT),
        "settled": _words(SETTLED),
    }


def _words(states: Collection[str]) -> list[str]:
    return sorted(str(state) for state in states)
