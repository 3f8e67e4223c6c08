"""What is peculiar about a workload and worth knowing before it changes. Pure.

A habit is no fault: the rollout may be well, and people know what its success says (product.md, "What real
clusters look like").
"""

from collections.abc import Iterable, Mapping
from typing import Any

from portal.integrations.kubernetes.headroom import fixed_ports
from portal.integrations.kubernetes.workloads import Json, Workload

Habit = dict[str, Any]


def habits_of(workload: Workload, *, settles: bool) -> list[Habit]:
    """Return [{"code", "args"}] of what a person should know.

    Args:
        settles: whether the plan watches the workload for a time once it is done.
    """
    name = str(workload.reference)
    found: list[Habit] = []
    if (unprobed := unprobed_of(workload)) and workload.replicas:
        code = "no_readiness" if settles else "no_readiness_unsettled"
        found.append({"code": code, "args": {"name": name, "containers": ", ".join(unprobed)}})
    if ports := fixed_ports(workload.template["spec"]):
        told = ", ".join(map(str, sorted(ports)))
        found.append({"code": "fixed_ports", "args": {"name": name, "ports": told}})
    if partition := partition_of(workload):
        found.append({"code": "partition", "args": {"name": name, "partition": partition}})
    return found


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
