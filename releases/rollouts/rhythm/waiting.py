"""For whom releases waited and how long; the package says what is counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from approvals.states import Phase
from releases.rollouts.rhythm.figures import rows_of

# Rows of the rounds opened in the period. The record says when a release came to wait for what comes after.
ROWS = """
WITH opened AS (
    SELECT requirement.id, requirement.role, requirement.phase, requirement.count, requirement.accepted,
           request.id AS request,
           CASE requirement.phase WHEN 'review' THEN request.opened_at ELSE (
               SELECT min(entry.at) FROM audit_auditentry entry
               WHERE entry.release = release.number AND entry.at >= request.opened_at
                 AND entry.subject_kind = 'release' AND entry.action = CASE requirement.phase
                     WHEN 'signoff' THEN 'release.awaiting_signoff' ELSE 'release.review_owed' END
           ) END AS at,
           CASE requirement.phase WHEN 'review' THEN request.state = 'open'
                WHEN 'signoff' THEN release.state = 'awaiting_signoff'
                ELSE release.state = 'review_owed' END
           AND release.approval_request_id = request.id AS still_asked
    FROM approvals_requirement requirement
    JOIN approvals_request request ON request.id = requirement.request_id
    JOIN releases_release release ON request.subject = 'release:' || release.number
    WHERE release.environment_id = ANY(%(environments)s)
      AND request.opened_at >= %(start)s AND request.opened_at < %(until)s
      AND EXISTS (SELECT 1 FROM releases_item item
                  JOIN catalog_service service ON service.id = item.service_id
                  JOIN people_team team ON team.id = service.team_id
                  WHERE item.release_id = release.number AND (%(service)s = '' OR service.name = %(service)s)
                    AND (%(team)s = '' OR team.key = %(team)s))
)
"""
BY_ROLE = """, answered AS (
    SELECT opened.*, (
        SELECT (array_agg(decision.decided_at ORDER BY decision.decided_at))[opened.count]
        FROM approvals_decision decision
        WHERE decision.request_id = opened.request AND decision.phase = opened.phase
          AND decision.revoked_at IS NULL AND decision.verdict <> 'object'
          AND decision.decided_at >= opened.at
          AND EXISTS (SELECT 1 FROM jsonb_array_elements(opened.accepted) pair
                      WHERE decision.capacities @> jsonb_build_array(pair))
    ) AS decided_at
    FROM opened WHERE at IS NOT NULL
)
SELECT role, phase, count(decided_at),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY EXTRACT(EPOCH FROM decided_at - at)::float8),
       max(EXTRACT(EPOCH FROM decided_at - at)::float8),
       count(*) FILTER (WHERE decided_at IS NULL AND still_asked),
       max(EXTRACT(EPOCH FROM clock_timestamp() - at)::float8)
           FILTER (WHERE decided_at IS NULL AND still_asked)
FROM answered GROUP BY role, phase
HAVING count(decided_at) > 0 OR bool_or(decided_at IS NULL AND still_asked)
ORDER BY role, phase
"""
BY_PERSON = """, rounds AS (SELECT DISTINCT request, phase, at FROM opened WHERE at IS NOT NULL)
SELECT person.username, person.name, count(*),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY EXTRACT(EPOCH FROM decision.decided_at - at)::float8),
       max(EXTRACT(EPOCH FROM decision.decided_at - at)::float8)
FROM rounds
JOIN approvals_decision decision ON decision.request_id = rounds.request AND decision.phase = rounds.phase
JOIN people_user person ON person.id = decision.person_id
WHERE decision.revoked_at IS NULL AND decision.verdict <> 'object' AND decision.decided_at >= at
GROUP BY person.username, person.name ORDER BY person.username
"""


@dataclass(frozen=True, kw_only=True)
class RoleWait:
    """Rows that asked one role in one phase: those decided, and those that wait still; spans in seconds."""

    role: str
    phase: str
    decided: int
    median_seconds: float | None
    longest_seconds: float | None
    waiting: int
    waiting_seconds: float | None

    @property
    def phase_name(self) -> str:
        """The phase in the reader's language."""
        return str(Phase(self.phase).label)


@dataclass(frozen=True, kw_only=True)
class PersonWait:
    """Verdicts of one person, and how long after the opening they came; spans in seconds."""

    username: str
    name: str
    decided: int
    median_seconds: float
    longest_seconds: float


def by_role(parameters: Mapping[str, Any]) -> list[RoleWait]:
    """How long rows waited for each role, in each phase."""
    return [
        RoleWait(
            role=role,
            phase=phase,
            decided=decided,
            median_seconds=median,
            longest_seconds=longest,
            waiting=waiting,
            waiting_seconds=since,
        )
        for role, phase, decided, median, longest, waiting, since in rows_of(ROWS + BY_ROLE, parameters)
    ]


def by_person(parameters: Mapping[str, Any]) -> list[PersonWait]:
    """How long releases waited for each verdict of each person; verdicts taken back don't count."""
    return [
        PersonWait(
            username=username, name=name, decided=decided, median_seconds=median, longest_seconds=longest
        )
        for username, name, decided, median, longest in rows_of(ROWS + BY_PERSON, parameters)
    ]
