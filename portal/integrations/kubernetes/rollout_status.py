"""When is a rollout done? Pure: the rules of `kubectl rollout status`, proof against an old answer.

Rules and their order: protocols.md, A1 (from kubectl's polymorphichelpers); of Argo's Rollouts: section C.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from portal.integrations.argo.rollouts import DEGRADED, HEALTHY, canary_of, is_current, stops_of
from portal.integrations.kubernetes.workloads import DAEMON_SET, ROLLOUT, Json, Workload

DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
DEGRADATIONS = {
    DEADLINE_EXCEEDED: "deadline_exceeded",
    "RolloutAborted": "canary_aborted",
    "InvalidSpec": "canary_invalid",
}


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a rollout is.

    Attributes:
        done: everything wanted runs and nothing old is left.
        waits_for: observed, updated, old_pods, available, ready; promotion or pause where a canary stands at
            one of its own steps; or empty when done.
        failure: why it can never be done without someone's help; a code, empty if it can.
        ready, updated, wanted: counts of pods.
    """

    done: bool
    ready: int
    updated: int
    wanted: int
    waits_for: str = ""
    failure: str = ""
    message: str = ""


def judge(workload: Workload, *, images: Mapping[str, str] | None = None) -> Progress:
    """Tell how far a workload's rollout is.

    Args:
        images: what the template must ask for; a status is believed only for the template we mean.
    """
    status = workload.raw.get("status") or {}
    if images and any(workload.images.get(name) != image for name, image in images.items()):
        return _progress(workload, status, waits_for="template")
    if workload.kind == "Deployment":
        return _deployment(workload, status)
    if workload.kind == "StatefulSet":
        return _stateful_set(workload, status)
    if workload.kind == DAEMON_SET:
        return _daemon_set(workload, status)
    if workload.kind == ROLLOUT:
        return _canary(workload, status)
    return _progress(workload, status, failure="kind_not_supported")


def condition(status: Json, name: str) -> Json:
    """Return the condition of that type, empty when there is none."""
    found = status.get("conditions") or []
    return next((each for each in found if each.get("type") == name), {})


def _deployment(workload: Workload, status: Json) -> Progress:  # noqa: PLR0911  a table of rules
    wanted = workload.replicas
    updated, total = _count(status, "updatedReplicas"), _count(status, "replicas")
    if workload.generation > _count(status, "observedGeneration"):
        return _progress(workload, status, waits_for="observed")
    progressing = condition(status, "Progressing")
    if progressing.get("reason") == DEADLINE_EXCEEDED:
        message = str(progressing.get("message", ""))
        return _progress(workload, status, failure="deadline_exceeded", message=message)
    if workload.spec.get("paused"):
        return _progress(workload, status, waits_for="unpaused")
    if updated < wanted:
        return _progress(workload, status, waits_for="updated")
    if total > updated:
        return _progress(workload, status, waits_for="old_pods")
    if _count(status, "availableReplicas") < updated:
        return _progress(workload, status, waits_for="available")
    return _progress(workload, status)


def _stateful_set(workload: Workload, status: Json) -> Progress:
    strategy = workload.spec.get("updateStrategy") or {}
    if not workload.rolls:
        return _progress(workload, status, failure="strategy_not_rolling")
    observed = _count(status, "observedGeneration")
    if observed == 0 or workload.generation > observed:
        return _progress(workload, status, waits_for="observed")
    if _count(status, "readyReplicas") < workload.replicas:
        return _progress(workload, status, waits_for="ready")
    partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    if _count(status, "updatedReplicas") < workload.replicas - partition:
        return _progress(workload, status, waits_for="updated")
    if partition == 0 and status.get("updateRevision") != status.get("currentRevision"):
        return _progress(workload, status, waits_for="old_pods")
    return _progress(workload, status)


def _daemon_set(workload: Workload, status: Json) -> Progress:
    if not workload.rolls:
        return _progress(workload, status, failure="strategy_not_rolling")
    if workload.generation > _count(status, "observedGeneration"):
        return _progress(workload, status, waits_for="observed")
    if _count(status, "updatedNumberScheduled") < workload.replicas:
        return _progress(workload, status, waits_for="updated")
    if _count(status, "numberAvailable") < workload.replicas:
        return _progress(workload, status, waits_for="available")
    return _progress(workload, status)


def _canary(workload: Workload, status: Json) -> Progress:
    if not is_current(workload):
        return _progress(workload, status, waits_for="observed")
    canary = canary_of(workload)
    if canary.phase == DEGRADED:
        reason = canary.message.partition(":")[0]
        failure = DEGRADATIONS.get(reason, "canary_degraded")
        return _progress(workload, status, failure=failure, message=canary.message)
    if canary.phase == HEALTHY and canary.finished:
        restarted = workload.spec.get("restartAt") in {None, status.get("restartedAt")}
        return _progress(workload, status, waits_for="" if restarted else "old_pods")
    if workload.spec.get("paused"):
        return _progress(workload, status, waits_for="unpaused")
    if canary.waits_for_promotion:
        lasts = canary.step in stops_of(workload)
        return _progress(workload, status, waits_for="promotion" if lasts else "pause")
    return _progress(workload, status, waits_for="updated")


def _progress(
    workload: Workload, status: Json, *, waits_for: str = "", failure: str = "", message: str = ""
) -> Progress:
    updated = _count(status, "updatedNumberScheduled" if _is_on_nodes(workload) else "updatedReplicas")
    return Progress(
        done=not waits_for and not failure,
        # Ready pods of the new kind: the status counts ready pods of all kinds together.
        ready=min(workload.ready, updated) if waits_for != "observed" else 0,
        updated=updated,
        wanted=workload.replicas,
        waits_for=waits_for,
        failure=failure,
        message=message,
    )


def _is_on_nodes(workload: Workload) -> bool:
    return workload.kind == DAEMON_SET


def _count(status: Json, field: str) -> int:
    return int(status.get(field) or 0)
