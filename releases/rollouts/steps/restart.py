"""New pods of the same template, as `kubectl rollout restart` makes them. Nothing undoes it.

Of a Rollout the time stands beside the template (`spec.restartAt`; protocols.md, "Argo Rollouts (CRD)"): in
the template it would begin a canary.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from portal import clock
from portal.integrations.kubernetes.workloads import RESTARTED_AT, ROLLOUT, Workload
from releases.rollouts.steps.kind import Json, Outcome, Work, done
from releases.rollouts.steps.template import TemplateKind


class Restart(TemplateKind):
    """Writes the time into the template: the workload replaces its pods by its own strategy."""

    name = "restart"
    said = "restarted"

    def template(self, work: Work, seen: Workload) -> Json:  # noqa: ARG002  the same for all
        """kubectl's annotation, with the database's time."""
        return {"metadata": {"annotations": {RESTARTED_AT: clock.now().isoformat(timespec="seconds")}}}

    def write(self, work: Work, seen: Workload, template: Json, *, dry_run: bool = False) -> Workload:
        """On a Rollout itself, whoever holds its template; on any other workload in the template."""
        if seen.reference.kind != ROLLOUT:
            return super().write(work, seen, template, dry_run=dry_run)
        # Its controller replaces the pods made before that second: those of the present one are among them.
        begins = datetime.fromisoformat(_time_in(template)).astimezone(UTC) + timedelta(seconds=1)
        at = begins.strftime("%Y-%m-%dT%H:%M:%SZ")
        return work.cluster.restart_rollout(seen, at, annotations=work.mark, dry_run=dry_run)

    def marks(self, seen: Workload) -> Mapping[str, str]:
        """Those of the Rollout, even where a Deployment holds its template."""
        return seen.raw["metadata"].get("annotations") or {}

    def changes(self, work: Work, seen: Workload) -> list[Json]:
        """When it was restarted last, and that it is now."""
        rollout = seen.reference.kind == ROLLOUT
        before = seen.spec.get("restartAt") if rollout else _time_in(seen.template)
        after = _time_in(self.template(work, seen))
        return [
            {"object": str(seen.reference), "field": "restartedAt", "before": before or "", "after": after},
        ]

    def observe(self, work: Work) -> Outcome:  # noqa: ARG002  the server's answer said it
        """The new pods are waited for by the step after it."""
        return done(self.said)


def _time_in(template: Json) -> str:
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    return str(annotations.get(RESTARTED_AT, ""))
