"""A workload that stands paused before it changes: new pods would not come (protocols.md, A3)."""

from portal.integrations.kubernetes.workloads import ROLLOUT, Workload
from releases.rollouts.steps.kind import Json, Outcome, Work, failed


def refused(seen: Workload) -> Outcome | None:
    """Refuse what somebody has paused; what the portal itself holds goes on with its next template."""
    if not seen.is_paused:
        return None
    return failed("workload_paused", args={"object": str(seen.reference), "command": lifting(seen)})


def refused_as_it_stands(work: Work, seen: Workload) -> Outcome | None:
    """Refuse besides what another rollout was stopped at: with its template it would go on to the end."""
    holder = str(work.rollout.pk if work.rollout else 0)
    if seen.held_by and seen.held_by != holder:
        return failed("workload_held", args={"object": str(seen.reference)})
    return refused(seen)


def lifted(seen: Workload) -> list[Json]:
    """What a write lets go besides, for people."""
    told = {"object": str(seen.reference), "field": "paused", "before": "true", "after": ""}
    return [told] if seen.goes_on_with_template else []


def lifting(seen: Workload) -> str:
    """Return what a person types to let it go on."""
    name, namespace = seen.reference.name, seen.reference.namespace
    if seen.reference.kind == ROLLOUT:
        return f"kubectl argo rollouts promote {name} -n {namespace}"
    return f"kubectl rollout resume {seen.reference} -n {namespace}"
