"""Old pods are given time to end, minutes perhaps, and some workloads begin no new one before. Pure.

That is no trouble: it is named before the start where a wait would be over before, and on the page while it
lasts (product.md, "What real clusters look like").
"""

from collections.abc import Iterable

from portal.integrations.kubernetes.headroom import share_of, surge_of
from portal.integrations.kubernetes.workloads import DAEMON_SET, Json, Workload

# Kubernetes' own, where nothing is said.
DEFAULT_GRACE_SECONDS = 30
# What a wait fails with that is over before they have ended.
STILL_ENDING = "still_ending"


def grace_of(pod_spec: Json) -> int:
    """Return how long a pod is given to end (seconds)."""
    value = pod_spec.get("terminationGracePeriodSeconds")
    return DEFAULT_GRACE_SECONDS if value is None else int(value)


def turns_of(workload: Workload) -> int:
    """Return how many times, one after the other, new pods wait until old ones have ended."""
    kind, wanted = workload.reference.kind, workload.replicas
    if kind == "Deployment":
        recreated = (workload.spec.get("strategy") or {}).get("type") == "Recreate"
        return min(wanted, 1) if recreated else 0
    rolling = (workload.spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
    if kind == "StatefulSet":
        return max(wanted - int(rolling.get("partition") or 0), 0)
    if kind == DAEMON_SET and not surge_of(workload):
        at_once = share_of(rolling.get("maxUnavailable") or 1, wanted)
        return -(-wanted // max(at_once, 1))
    return 0


def ending(pods: Iterable[Json]) -> Json:
    """Return {"ending": {"count", "grace" (seconds)}} of the pods that end; empty where none does."""
    graces = [grace_of(pod["spec"]) for pod in pods if is_ending(pod)]
    return {"ending": {"count": len(graces), "grace": max(graces)}} if graces else {}


def is_ending(found: Json) -> bool:
    """Whether a pod, or another object, has been told to end."""
    return bool(found["metadata"].get("deletionTimestamp"))
