"""A Rollout of Argo Rollouts: where its canary stands, and the requests that move it. Pure.

Phases and their traps, and the bodies of the requests: protocols.md, "Argo Rollouts (CRD)".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from portal.integrations.kubernetes.workloads import Json, Workload

HASH_LABEL = "rollouts-pod-template-hash"
WORKLOAD_GENERATION = "rollout.argoproj.io/workload-generation"
HEALTHY, PAUSED, DEGRADED, PROGRESSING = "Healthy", "Paused", "Degraded", "Progressing"
PAUSE_STEP = "CanaryPauseStep"
FULL = 100


@dataclass(frozen=True, kw_only=True)
class Canary:
    """Where the canary of a Rollout stands.

    Attributes:
        phase: Healthy, Progressing, Paused or Degraded; Progressing as long as the status tells of an older
            state, or a pause is just being lifted.
        message: the controller's own words for it.
        step: the index of the present step; the number of steps when it is past them.
        weight: the share of the new version in percent, as the steps ask for.
        finished: what is asked for is the stable version.
        aborted: the canary was given up; the spec still asks for it.
        unpausing: somebody has just lifted the pause, and the controller has not taken it up yet.
    """

    phase: str
    message: str
    step: int
    weight: int
    finished: bool
    aborted: bool
    unpausing: bool
    pauses: tuple[str, ...]

    @property
    def waits_for_promotion(self) -> bool:
        """Whether it stands at a pause of its own steps."""
        return self.phase == PAUSED and PAUSE_STEP in self.pauses


def canary_of(workload: Workload) -> Canary:
    """Read where a Rollout's canary stands; its status is believed only for the spec that is there now."""
    status = workload.status
    current = is_current(workload)
    pauses = tuple(str(each.get("reason", "")) for each in status.get("pauseConditions") or [])
    unpausing = bool(status.get("controllerPause")) and not pauses
    steps = steps_of(workload)
    index = int(status.get("currentStepIndex") or 0)
    hashes = status.get("stableRS"), status.get("currentPodHash")
    return Canary(
        phase=str(status.get("phase") or PROGRESSING) if current and not unpausing else PROGRESSING,
        message=str(status.get("message") or "") if current and not unpausing else "",
        step=index,
        weight=weight_at(steps, index),
        finished=current and bool(hashes[0]) and hashes[0] == hashes[1],
        aborted=bool(status.get("abort")),
        unpausing=unpausing,
        pauses=pauses,
    )


def is_current(workload: Workload) -> bool:
    """Whether the controller has seen the spec that is there now; the generation it saw is a string."""
    status = workload.status
    if str(status.get("observedGeneration", "")) != str(workload.generation):
        return False
    if workload.holder is None:
        return True
    generation = str(workload.holder["metadata"].get("generation", ""))
    return str(status.get("workloadObservedGeneration", "")) == generation


def steps_of(workload: Workload) -> list[Json]:
    """Return the canary's own steps."""
    canary = (workload.spec.get("strategy") or {}).get("canary") or {}
    return list(canary.get("steps") or [])


def stops_of(workload: Workload) -> list[int]:
    """Return the indices of the pauses that last until somebody promotes."""
    return [
        index
        for index, step in enumerate(steps_of(workload))
        if "pause" in step and (step["pause"] or {}).get("duration") is None
    ]


def weight_at(steps: list[Json], index: int) -> int:
    """Return the share that the steps ask for at an index: of the last setWeight up to it."""
    if index >= len(steps):
        return FULL
    weights = [int(step["setWeight"]) for step in steps[: index + 1] if "setWeight" in step]
    return weights[-1] if weights else 0


def promotion(*, full: bool) -> Json:
    """Return the merge patch for the status that lifts the present pause, or skips all that is left."""
    return {"status": {"promoteFull": True} if full else {"pauseConditions": None}}


def image_operations(template: Json, images: Mapping[str, str]) -> Iterator[Json]:
    """Yield the operations of a JSON patch that set images: custom resources know no strategic merge.

    Each tests that the container at its place is still the one meant.
    """
    spec: Json = template.get("spec") or {}
    for field in ("initContainers", "containers"):
        for index, each in enumerate(spec.get(field) or []):
            if each["name"] in images:
                place = f"/spec/template/spec/{field}/{index}"
                yield {"op": "test", "path": f"{place}/name", "value": each["name"]}
                yield {"op": "add", "path": f"{place}/image", "value": images[each["name"]]}


def set_of(workload: Workload, sets: list[Json]) -> Json | None:
    """Return the ReplicaSet of the present template, by the hash that the controller gives it."""
    wanted: Any = workload.status.get("currentPodHash") if is_current(workload) else None
    found = (each for each in sets if (each["metadata"].get("labels") or {}).get(HASH_LABEL) == wanted)
    return next(found, None) if wanted else None
