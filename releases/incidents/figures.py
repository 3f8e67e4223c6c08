"""Counts and medians of incidents for the report, a statement for each table."""

from collections.abc import Mapping
from typing import Any

from psycopg.sql import SQL

from releases.rollouts.rhythm.figures import rows_of
from releases.rollouts.rhythm.incidents import IncidentFigures

COUNTED = """
WITH counted AS (
    SELECT {key} AS key, incident.closed_at IS NULL AS is_ongoing,
           EXTRACT(EPOCH FROM incident.closed_at - incident.opened_at)::float8 AS restore,
           EXTRACT(EPOCH FROM incident.closed_at - incident.began_at)::float8 AS whole
    FROM incidents_incident incident
    JOIN catalog_environment environment ON environment.id = incident.environment_id
    JOIN catalog_service service ON service.id = incident.service_id
    JOIN people_team team ON team.id = service.team_id
    WHERE incident.environment_id = ANY(%(environments)s)
      AND incident.opened_at >= %(start)s AND incident.opened_at < %(until)s
      AND (%(service)s = '' OR service.name = %(service)s) AND (%(team)s = '' OR team.key = %(team)s)
)
SELECT key, count(*), count(*) FILTER (WHERE is_ongoing),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY restore),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY whole), max(restore)
FROM counted GROUP BY key ORDER BY key
"""
KEYS: Mapping[str, SQL] = {
    "total": SQL("'all'"),
    "system": SQL("environment.system"),
    "week": SQL("date_trunc('week', incident.opened_at AT TIME ZONE %(zone)s)::date"),
}


def figures(table: str, parameters: Mapping[str, Any]) -> list[IncidentFigures]:
    """The rows of one table of `KEYS`, in the order of their keys.

    Args:
        parameters: of `Asked.parameters`.
    """
    statement = SQL(COUNTED).format(key=KEYS[table]).as_string()
    return [
        IncidentFigures(
            key=row[0],
            incidents=row[1],
            ongoing=row[2],
            restore_seconds=row[3],
            whole_seconds=row[4],
            longest_seconds=row[5],
        )
        for row in rows_of(statement, parameters)
    ]
