"""What the steps of a plan touch beside the workloads' images, as facts of the services. Pure."""

from collections.abc import Mapping
from typing import Any

from approvals.grades import Fact

Touched = tuple[tuple[str, str], ...]
# A Job is taken for a migration unless the catalog says what else it touches, or that it touches nothing.
OF_A_JOB = (Fact.DATABASE_CHANGE,)


def facts_of_plan(plan: Mapping[str, Any], service: str, spec: Mapping[str, Any]) -> Touched:
    """Return (fact, object) for each step of a plan's document that concerns the service.

    Args:
        plan: the plan's spec; an empty one touches nothing.
        spec: the service's document.
    """
    steps = [
        step
        for wave in plan.get("waves") or []
        for place in ("before", "after")
        for step in wave.get(place) or []
        if step["service"] == service
    ]
    return tuple(found for step in steps for found in _touched(step, spec))


def _touched(step: Mapping[str, Any], spec: Mapping[str, Any]) -> Touched:
    jobs = [job for job in spec.get("jobs") or [] if job["name"] == step.get("job")]
    return tuple(
        (str(fact), f"cronjob/{job['cronJob']}") for job in jobs for fact in job.get("touches", OF_A_JOB)
    )
