"""What is peculiar about a workload and worth knowing before it changes. Pure.

A habit is no fault: the rollout may be well, and people know what its success says (product.md, "What real
clusters look like").
"""

from collections.abc import Iterable, Mapping
from typing import Any

from portal.integrations.kubernetes.headroom import fixed_ports
from portal.integrations.kubernetes.workloads import Json, Workload
from releases.rollouts.steps import endings

Habit = dict[str, Any]


def habits_of(workload: Workload, *, settles: int, timeout_seconds: int) -> list[Habit]:
    """Return [{"code", "args"}] of what a person should know.

    Args:
        settles: for how long the workload is watched once it is done (seconds).
        timeout_seconds: how long the plan waits for that.
    """
    name = str(workload.reference)
    found = readiness_of(workload, settles=settles) if workload.replicas else []
    if ports := fixed_ports(workload.template["spec"]):
        told = ", ".join(map(str, sorted(ports)))
        found.append({"code": "fixed_ports", "args": {"name": name, "ports": told}})
    if workload.held_by:
        found.append({"code": "held", "args": {"name": name}})
    if partition := partition_of(workload):
        found.append({"code": "partition", "args": {"name": name, "partition": partition}})
    return found + _slow_to_end(workload, timeout_seconds)


def readiness_of(workload: Workload, *, settles: int) -> list[Habit]:
    """Return what being ready does not say of its pods: the part of `habits_of` that holds for first ones."""
    unprobed = unprobed_of(workload)
    if not unprobed:
        return []
    code = "no_readiness" if settles else "no_readiness_unsettled"
    args = {"name": str(workload.reference), "containers": ", ".join(unprobed), "seconds": settles}
    return [{"code": code, "args": args}]


def _slow_to_end(workload: Workload, timeout_seconds: int) -> list[Habit]:
    """Whether its old pods may take longer to end than anybody waits for the new ones."""
    grace = endings.grace_of(workload.template.get("spec") or {})
    total = grace * endings.turns_of(workload)
    if total < timeout_seconds:
        return []
    args = {"name": str(workload.reference), "grace": grace, "total": total, "limit": timeout_seconds}
    return [{"code": "slow_to_end", "args": args}]


def unprobed_of(workload: Workload) -> list[str]:
    """The containers of which nobody knows when they are ready."""
    spec = workload.template.get("spec") or {}
    return [each["name"] for each in spec.get("containers") or [] if "readinessProbe" not in each]


def partition_of(workload: Workload) -> int:
    """The number below which the pods of a StatefulSet keep what they run; 0 where all change."""
    if workload.reference.kind != "StatefulSet":
        return 0
    rolling = (workload.spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
    return min(int(rolling.get("partition") or 0), workload.replicas)


def astray(autoscalers: Iterable[Json], workloads: Mapping[str, Iterable[str]]) -> list[Habit]:
    """Return the autoscalers that aim at what is not there.

    Args:
        workloads: the names of what is there, by kind; of other kinds nothing is known.
    """
    found = []
    for each in autoscalers:
        target = (each.get("spec") or {}).get("scaleTargetRef") or {}
        kind, name = target.get("kind", ""), target.get("name", "")
        if kind in workloads and name not in set(workloads[kind]):
            args = {"autoscaler": each["metadata"]["name"], "target": f"{kind.lower()}/{name}"}
            found.append({"code": "autoscaler_astray", "args": args})
    return found
