"""What is kept of an environment's services, as each look at its namespace needs it: one statement."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection

from releases.catalog.models import Environment
from releases.rollouts.states import ACTIVE, STANDING, RolloutState

Json = dict[str, Any]
SAID_AGAIN = timedelta(seconds=30)
# Looks are many: a statement of its own, as writing it anew takes longer than it does. One that has left the
# environment is among them while a finding of it stands there.
KEPT = """
SELECT service.id, service.name, service.spec, here.service_id IS NOT NULL,
    running.id, running.seen, running.expected, running.seen_at < clock_timestamp() - %(again)s,
    finding.id, moving.ended IS TRUE, moving.brought
FROM (SELECT service_id FROM catalog_service_environments WHERE environment_id = %(environment)s) AS here
FULL JOIN (
    SELECT id, service_id FROM rollouts_finding
    WHERE environment_id = %(environment)s AND state = ANY(%(standing)s)
) AS finding ON finding.service_id = here.service_id
JOIN catalog_service AS service ON service.id = coalesce(here.service_id, finding.service_id)
LEFT JOIN catalog_running AS running
    ON running.service_id = service.id AND running.environment_id = %(environment)s
LEFT JOIN (
    SELECT item.service_id, bool_or(rollout.state <> ALL(%(going)s)) AS ended, jsonb_agg(
        CASE WHEN release.operation = '{}' THEN item.accepted || to_jsonb(item.digest) END
    ) AS brought
    FROM rollouts_rollout AS rollout
    JOIN releases_release AS release ON release.number = rollout.release_id
    JOIN releases_item AS item ON item.release_id = rollout.release_id
    WHERE rollout.environment_id = %(environment)s
        AND (rollout.state = ANY(%(going)s) OR rollout.ended_at >= clock_timestamp() - %(age)s)
    GROUP BY item.service_id
) AS moving ON moving.service_id = service.id
ORDER BY service.id
"""
ASKED: dict[str, Any] = {
    "again": SAID_AGAIN,
    "going": sorted(map(str, ACTIVE | {RolloutState.PAUSED})),
    "standing": sorted(map(str, STANDING)),
}


@dataclass
class Kept:
    """A service in an environment: what the catalog says of it, and what was seen and expected last.

    Attributes:
        is_here: whether it runs there by the catalog.
        row: the key of its `Running`; None where it was never seen.
        is_old: it was said so long ago that it is said again.
        finding: the key of the one that stands.
        ended: a rollout of it has ended that was not over when it was begun to look.
        brought: the digests of what a rollout of it brings that goes on or is paused; None where none is.
    """

    id: int
    name: str
    spec: Json
    is_here: bool
    row: int | None
    seen: Json
    expected: Json
    is_old: bool
    finding: int | None
    ended: bool
    brought: frozenset[str] | None

    @property
    def scale(self) -> dict[str, int] | None:
        """As `Service.scale`."""
        bounds: dict[str, int] | None = self.spec.get("scale")
        return bounds


def kept_in(environment: Environment, *, age_seconds: float = 0.0) -> list[Kept]:
    """Read what is kept of an environment's services.

    Args:
        age_seconds: how long ago it was begun to look at the cluster.
    """
    asked = {**ASKED, "environment": environment.pk, "age": timedelta(seconds=age_seconds)}
    with connection.cursor() as cursor:
        cursor.execute(KEPT, asked)
        return [
            Kept(
                id_,
                name,
                json.loads(spec),
                here,
                row,
                _read(seen),
                _read(expected),
                bool(old),
                finding,
                ended,
                _digests(brought),
            )
            for id_, name, spec, here, row, seen, expected, old, finding, ended, brought in cursor.fetchall()
        ]


def _digests(text: str | None) -> frozenset[str] | None:
    return (
        None if text is None else frozenset(each for some in json.loads(text) for each in some or () if each)
    )


def _read(text: str | None) -> Json:
    found: Json = json.loads(text) if text else {}
    return found
