"""How long pods must stay well before their rollout is believed, and whether they do. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from portal.integrations.kubernetes.rollout_status import condition
from portal.integrations.kubernetes.workloads import Json, Workload
from releases.rollouts.steps.habits import unprobed_of

# A process that cannot work mostly dies within seconds of its start, and without a probe it was "ready" all
# the while; longer would keep each rollout of a healthy service waiting for nothing.
SETTLE_SECONDS = 10


def settle_seconds(params: Mapping[str, Any], workload: Workload, *, flaps: bool = False) -> int:
    """Return how long its pods must stay well: as the plan says, else where being ready says too little.

    Args:
        params: of the step; `settleSeconds` may be 0.
        flaps: whether pods that were ready have been seen not to be (`readiness`).
    """
    named = params.get("settleSeconds")
    if named is not None:
        return int(named)
    return SETTLE_SECONDS if flaps or unprobed_of(workload) else 0


def ready_since(pods: Iterable[Json]) -> dict[str, str]:
    """Return since when pods are ready, by their names; those that are not are left out."""
    said = {pod["metadata"]["name"]: condition(pod.get("status") or {}, "Ready") for pod in pods}
    return {
        name: str(ready.get("lastTransitionTime") or "")
        for name, ready in said.items()
        if ready.get("status") == "True"
    }


def readiness(kept: Mapping[str, Any], pods: Iterable[Json]) -> Json:
    """Return what is kept of pods' readiness from look to look: since when each is, and whether one fell.

    Args:
        kept: what the look before found.
    """
    present = list(pods)
    flaps = bool(kept.get("flaps")) or fell(kept.get("ready_since") or {}, present)
    return {"ready_since": ready_since(present), "flaps": flaps}


def fell(before: Mapping[str, str], pods: Iterable[Json]) -> bool:
    """Whether pods that were ready are not, or were not meanwhile; who is gone has not fallen."""
    present = list(pods)
    names, now = {pod["metadata"]["name"] for pod in present}, ready_since(present)
    return any(now.get(name) != since for name, since in before.items() if name in names)
