"""New pods of the same template, as `kubectl rollout restart` makes them. Nothing undoes it."""

from portal import clock
from portal.integrations.kubernetes.workloads import Workload
from releases.rollouts.steps.kind import Json, Outcome, Work, done
from releases.rollouts.steps.template import TemplateKind

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


class Restart(TemplateKind):
    """Writes the time into the template: the workload replaces its pods by its own strategy."""

    name = "restart"
    said = "restarted"

    def template(self, work: Work, seen: Workload) -> Json:  # noqa: ARG002  the same for all
        """kubectl's annotation, with the database's time."""
        return {"metadata": {"annotations": {RESTARTED_AT: clock.now().isoformat(timespec="seconds")}}}

    def changes(self, work: Work, seen: Workload) -> list[Json]:
        """When it was restarted last, and that it is now."""
        annotations = (seen.template.get("metadata") or {}).get("annotations") or {}
        after = self.template(work, seen)["metadata"]["annotations"][RESTARTED_AT]
        before = annotations.get(RESTARTED_AT, "")
        return [
            {"object": str(seen.reference), "field": "restartedAt", "before": before, "after": after},
        ]

    def observe(self, work: Work) -> Outcome:  # noqa: ARG002  the server's answer said it
        """The new pods are waited for by the step after it."""
        return done(self.said)
