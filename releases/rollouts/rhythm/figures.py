"""Counts and medians of deployments, a statement for each table; the package says what is counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection
from psycopg.sql import SQL

MOST_BUNDLES = 12

# A row for each service that a deployment carried, with the moment it stood well again after a failure.
CARRIED = """
WITH carried AS (
    SELECT rollout.id, release.number, release.grade, release.created_at, release.submitted_at,
           rollout.started_at, rollout.failed_at, rollout.ended_at, rollout.state = 'succeeded' AS succeeded,
           rollout.started_at AT TIME ZONE %(zone)s AS local_start,
           COALESCE(starter.username, '') AS starter, COALESCE(starter.name, '') AS starter_name,
           environment.name AS environment, environment.title AS environment_title,
           service.name AS service, service.title AS service_title,
           team.key AS team, team.title AS team_title,
           CASE WHEN rollout.failed_at IS NOT NULL THEN LEAST(
               CASE WHEN rollout.state IN ('rolled_back', 'succeeded') THEN rollout.ended_at END,
               (SELECT later.ended_at FROM rollouts_rollout later
                WHERE later.environment_id = rollout.environment_id AND later.id <> rollout.id
                  AND later.state = 'succeeded' AND later.ended_at >= rollout.failed_at
                  AND EXISTS (SELECT 1 FROM releases_item again
                              WHERE again.release_id = later.release_id AND again.service_id = service.id)
                ORDER BY later.ended_at LIMIT 1)
           ) END AS restored_at
    FROM rollouts_rollout rollout
    JOIN releases_release release ON release.number = rollout.release_id
    JOIN catalog_environment environment ON environment.id = rollout.environment_id
    JOIN releases_item item ON item.release_id = release.number
    JOIN catalog_service service ON service.id = item.service_id
    JOIN people_team team ON team.id = service.team_id
    LEFT JOIN people_user starter ON starter.id = rollout.started_by_id
    WHERE rollout.environment_id = ANY(%(environments)s)
      AND release.operation = '{{}}'::jsonb
      AND rollout.started_at >= %(start)s AND rollout.started_at < %(until)s
      AND (%(service)s = '' OR service.name = %(service)s) AND (%(team)s = '' OR team.key = %(team)s)
)
"""
# Services of one deployment are one row again, unless the table tells them apart.
GROUPED = """, counted AS (
    SELECT {key} AS key, {label} AS label, succeeded, created_at, submitted_at, started_at,
           failed_at, ended_at,
           CASE WHEN bool_and(restored_at IS NOT NULL) THEN max(restored_at) END AS restored_at
    FROM carried
    GROUP BY id, 1, 2, succeeded, created_at, submitted_at, started_at, failed_at, ended_at
), spans AS (
    SELECT *, EXTRACT(EPOCH FROM ended_at - submitted_at)::float8 AS lead,
           EXTRACT(EPOCH FROM ended_at - created_at)::float8 AS whole,
           EXTRACT(EPOCH FROM ended_at - started_at)::float8 AS duration,
           EXTRACT(EPOCH FROM restored_at - failed_at)::float8 AS restore
    FROM counted
)
SELECT key, label, count(*), count(failed_at),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY lead) FILTER (WHERE succeeded),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY whole) FILTER (WHERE succeeded),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY duration),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY restore),
       count(*) FILTER (WHERE failed_at IS NOT NULL AND restored_at IS NULL)
FROM spans GROUP BY key, label ORDER BY key
"""
BUNDLES = """
SELECT local_start::date, environment, environment_title, team, team_title,
       array_agg(DISTINCT service ORDER BY service), array_agg(DISTINCT number ORDER BY number)
FROM carried
GROUP BY local_start::date, environment, environment_title, team, team_title
HAVING count(DISTINCT number) > 1
ORDER BY count(DISTINCT number) DESC, 1 DESC, 2, 4 LIMIT {most}
"""
# Table: the column it is grouped by, and what people call its value.
KEYS: Mapping[str, tuple[SQL, SQL]] = {
    "total": (SQL("'all'"), SQL("''")),
    "week": (SQL("date_trunc('week', local_start)::date"), SQL("''")),
    "hour": (
        SQL("(EXTRACT(ISODOW FROM local_start) * 24 - 24 + EXTRACT(HOUR FROM local_start))::int"),
        SQL("''"),
    ),
    "team": (SQL("team"), SQL("team_title")),
    "service": (SQL("service"), SQL("service_title")),
    "environment": (SQL("environment"), SQL("environment_title")),
    "grade": (SQL("grade"), SQL("''")),
    "person": (SQL("starter"), SQL("starter_name")),
}


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is known of some deployments; spans are medians in seconds, None where nothing was to measure.

    Attributes:
        key: what they have in common: a name, a Monday, or the hour of the week from Monday 00:00.
        label: what people call it, "" where the key says it.
        lead_seconds: from submission to success; whole_seconds: the same from the first draft.
        duration_seconds: from the first step to the end, a rollback included.
        unrestored: failed and not well again yet.
    """

    key: Any
    label: str = ""
    deployments: int = 0
    failed: int = 0
    lead_seconds: float | None = None
    whole_seconds: float | None = None
    duration_seconds: float | None = None
    restore_seconds: float | None = None
    unrestored: int = 0

    @property
    def name(self) -> str:
        """What people call it."""
        return self.label or str(self.key)

    @property
    def failed_percent(self) -> float | None:
        """The share that failed."""
        return 100 * self.failed / self.deployments if self.deployments else None


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Releases of one team that went out in one environment on one day, and could have gone out as one."""

    day: date
    environment: str
    team: str
    services: tuple[str, ...]
    releases: tuple[int, ...]


def figures(table: str, parameters: Mapping[str, Any]) -> list[Figures]:
    """The rows of one table of `KEYS`, in the order of their keys.

    Args:
        parameters: of `Asked.parameters`.
    """
    key, label = KEYS[table]
    statement = SQL(CARRIED + GROUPED).format(key=key, label=label).as_string()
    return [
        Figures(
            key=row[0],
            label=row[1],
            deployments=row[2],
            failed=row[3],
            lead_seconds=row[4],
            whole_seconds=row[5],
            duration_seconds=row[6],
            restore_seconds=row[7],
            unrestored=row[8],
        )
        for row in rows_of(statement, parameters)
    ]


def bundles(parameters: Mapping[str, Any]) -> list[Bundle]:
    """Days on which a team released several times in one environment, the busiest first."""
    statement = SQL(CARRIED + BUNDLES).format(most=MOST_BUNDLES).as_string()
    return [
        Bundle(
            day=day,
            environment=environment_title or environment,
            team=team_title or team,
            services=tuple(services),
            releases=tuple(releases),
        )
        for day, environment, environment_title, team, team_title, services, releases in rows_of(
            statement, parameters
        )
    ]


def rows_of(statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows that a statement answers."""
    with connection.cursor() as cursor:
        cursor.execute(statement, dict(parameters))
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
