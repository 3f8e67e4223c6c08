"""What the steps of a plan touch beside the workloads' images, as facts of the services. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from approvals.grades import Fact

Touched = tuple[tuple[str, str], ...]
# A Job is taken for a migration unless the catalog says what else it touches, or that it touches nothing.
OF_A_JOB = (Fact.DATABASE_CHANGE,)
# Steps of an operation that are done to each workload.
OF_WORKLOADS = frozenset({"set_resources"})


def facts_of_plan(plan: Mapping[str, Any], service: str, spec: Mapping[str, Any]) -> Touched:
    """Return (fact, object) for each step of a plan's document that concerns the service.

    Args:
        plan: the plan's spec; an empty one touches nothing.
        spec: the service's document.
    """
    steps = [
        step
        for wave in [*(plan.get("waves") or []), *(plan.get("switch") or [])]
        for place in ("before", "after", "steps")
        for step in wave.get(place) or []
        if step["service"] == service
    ]
    steps += [step for step in plan.get("each") or [] if step["kind"] in OF_WORKLOADS]
    return (*(found for step in steps for found in _touched(step, spec)), *_canary(plan, spec))


def _canary(plan: Mapping[str, Any], spec: Mapping[str, Any]) -> Touched:
    """A canary by weight leads the traffic; one by pods only shares the replicas that are there."""
    canary = spec.get("canary") or {}
    if (plan.get("canary") or {}).get("by") != "weight" or "route" not in canary:
        return ()
    return ((str(Fact.TRAFFIC_PATH), f"httproute/{canary['route']['name']}"),)


def _touched(step: Mapping[str, Any], spec: Mapping[str, Any]) -> Touched:
    return KINDS[step["kind"]](step, spec)


def _job(step: Mapping[str, Any], spec: Mapping[str, Any]) -> Touched:
    jobs = [job for job in spec.get("jobs") or [] if job["name"] == step["job"]]
    return tuple(
        (str(fact), f"cronjob/{job['cronJob']}") for job in jobs for fact in job.get("touches", OF_A_JOB)
    )


def _restore(step: Mapping[str, Any], spec: Mapping[str, Any]) -> Touched:  # noqa: ARG001  one shape for all
    """The whole of the data changes, whatever the catalog says of the Job."""
    return ((str(Fact.DATABASE_CHANGE), str(step["backup"])),)


def _switch(step: Mapping[str, Any], spec: Mapping[str, Any]) -> Touched:
    names = step.get("services") or (spec.get("colours") or {}).get("services") or []
    return tuple((str(Fact.TRAFFIC_PATH), f"service/{name}") for name in names)


def _weight(step: Mapping[str, Any], spec: Mapping[str, Any]) -> Touched:  # noqa: ARG001  one shape for all
    return ((str(Fact.TRAFFIC_PATH), f"httproute/{step['route']['name']}"),)


def _scale(step: Mapping[str, Any], spec: Mapping[str, Any]) -> Touched:
    """Within the bounds that the catalog knows it is only scaling; beyond, or without any, infrastructure."""
    names = [each["name"] for each in spec.get("workloads") or []] or [step["service"]]
    name = step.get("workload") or (f"{step['service']} ({step['colour']})" if "colour" in step else names[0])
    sizes = step["replicas"] if isinstance(step["replicas"], list) else [step["replicas"]]
    bounds, most = spec.get("scale"), step.get("most", max(sizes))
    size = f"{name} × {', '.join(map(str, sizes))}" + ("" if most == max(sizes) else f"–{most}")
    if bounds is None:
        return ((str(Fact.INFRASTRUCTURE), size),)
    is_within = bounds["min"] <= min(sizes) and max(*sizes, most) <= bounds["max"]
    fact = Fact.SCALE_ONLY if is_within else Fact.INFRASTRUCTURE
    return ((str(fact), f"{size} ({bounds['min']}–{bounds['max']})"),)


def _resources(step: Mapping[str, Any], spec: Mapping[str, Any]) -> Touched:  # noqa: ARG001  one shape for all
    return ((str(Fact.INFRASTRUCTURE), f"{step['service']}: {step['container']}"),)


def _manifests(step: Mapping[str, Any], spec: Mapping[str, Any]) -> Touched:
    """What a folder holds, Services among it, is not read here: all of it is infrastructure."""
    folders = sorted(set((spec.get("manifests") or {}).values())) or [step["service"]]
    return tuple((str(Fact.INFRASTRUCTURE), folder) for folder in folders)


def _nothing(step: Mapping[str, Any], spec: Mapping[str, Any]) -> Touched:  # noqa: ARG001  one shape for all
    """It only looks."""
    return ()


KINDS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Touched]] = {
    "run_job": _job,
    "restore_database": _restore,
    "scale": _scale,
    "set_resources": _resources,
    "switch_service": _switch,
    "set_weight": _weight,
    "apply_manifests": _manifests,
    "watch": _nothing,
    "cluster_view": _nothing,
    "health": _nothing,
}
