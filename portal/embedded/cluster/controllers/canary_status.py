"""The status of a Rollout: how its steps go on, why it stands, its conditions and the phase they make.

After argoproj/argo-rollouts v1.10.1: rollout/{canary,pause,sync}.go and utils/rollout/rolloututil.go.
"""

from portal.embedded.cluster import clock
from portal.embedded.cluster.controllers import canary, rolling
from portal.embedded.cluster.controllers.canary import Sets
from portal.embedded.cluster.controllers.podwork import without_condition
from portal.embedded.cluster.controllers.progress import condition, with_condition
from portal.embedded.cluster.selectors import selector_text
from portal.embedded.cluster.store import Object

PAUSE_STEP = "CanaryPauseStep"
ABORTED, TIMED_OUT, PAUSED, DONE = (
    "RolloutAborted",
    "ProgressDeadlineExceeded",
    "RolloutPaused",
    "NewReplicaSetAvailable",
)
DEADLINE_SECONDS = 600
UNITS = {"s": 1, "m": 60, "h": 3600}


def next_status(item: Object, sets: Sets, *, digest: str, steps_hash: str) -> Object:
    """The status after a look, with its conditions and its phase."""
    status = _steps(item, sets, _base(item, sets, digest=digest, steps_hash=steps_hash))
    status["conditions"] = _conditions(item, sets, status)
    return with_phase(item, status)


def begun_anew(item: Object, *, digest: str, steps_hash: str) -> Object:
    """The status when another template or other steps are asked for: from the first step, or past the last.

    Whoever goes back to the stable template skips the steps.
    """
    status = {**item["status"], "currentPodHash": digest, "currentStepHash": steps_hash}
    for name in ("abort", "abortedAt", "controllerPause", "pauseConditions", "promoteFull"):
        status.pop(name, None)
    count = len(canary.steps_of(item))
    if count:
        status["currentStepIndex"] = count if status.get("stableRS") in (digest, None) else 0
    status["observedGeneration"] = str(item["metadata"]["generation"])
    kept = status.get("conditions") or []
    news = condition("Progressing", "True", reason="RolloutUpdated", message="Rollout is updated")
    status["conditions"] = with_condition(kept, news, renew=True)
    return with_phase(item, status)


def invalid(item: Object, words: str) -> Object:
    """The status of a Rollout that cannot be followed."""
    told = condition("InvalidSpec", "True", reason="InvalidSpec", message=words)
    found = with_condition(item["status"].get("conditions") or [], told)
    observed = str(item["metadata"]["generation"])
    return with_phase(item, {**item["status"], "conditions": found, "observedGeneration": observed})


def seconds_left(item: Object) -> float | None:
    """When to look again though nothing changes: a pause that ends by itself, or the deadline."""
    status = item["status"]
    step = canary.step_at(item, status.get("currentStepIndex"))
    pauses = status.get("pauseConditions") or []
    if pauses and step and "pause" in step and (step["pause"] or {}).get("duration") is not None:
        return max(seconds_of(step["pause"]["duration"]) - clock.age(pauses[0]["startTime"]), 0.1)
    told = _told(status.get("conditions") or [], "Progressing")
    if told is None or status.get("phase") != "Progressing":
        return None
    left = _deadline(item) - clock.age(told["lastUpdateTime"])
    return max(left, 0.1)


def seconds_of(duration: int | str) -> int:
    """A duration as Argo Rollouts writes it: seconds, or a number with s, m or h."""
    text = str(duration)
    return int(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else int(text)


def _base(item: Object, sets: Sets, *, digest: str, steps_hash: str) -> Object:
    every = sets.every
    counts = {
        "replicas": rolling.counted(every, "replicas"),
        "updatedReplicas": rolling.counted([sets.new] if sets.new else [], "replicas"),
        "readyReplicas": rolling.counted(every, "readyReplicas"),
        "availableReplicas": rolling.counted(every, "availableReplicas"),
        "HPAReplicas": rolling.counted(every, "replicas"),
    }
    kept = {
        name: item["status"][name]
        for name in (
            "stableRS",
            "currentStepIndex",
            "abort",
            "abortedAt",
            "promoteFull",
            "restartedAt",
            "conditions",
        )
        if name in item["status"]
    }
    status = {**kept, **{name: count for name, count in counts.items() if count}}
    status |= {"currentPodHash": digest, "currentStepHash": steps_hash, "blueGreen": {}, "canary": {}}
    status["selector"] = selector_text(item["spec"].get("selector"))
    status["observedGeneration"] = str(item["metadata"]["generation"])
    return status


def _steps(item: Object, sets: Sets, status: Object) -> Object:
    """Promote, abort, pause, or go one step on."""
    count = len(canary.steps_of(item))
    if sets.stable is None or _promotes(item, sets, status, count=count):
        for name in ("abort", "abortedAt", "promoteFull"):
            status.pop(name, None)
        return {
            **status,
            "stableRS": status["currentPodHash"],
            **({"currentStepIndex": count} if count else {}),
        }
    if status.get("promoteFull"):
        return {**status, "abort": False, "currentStepIndex": count}
    if status.get("abort"):
        index = count if status["stableRS"] == status["currentPodHash"] else 0
        at = status.get("abortedAt") or clock.stamp()
        return {**status, "abortedAt": at, **({"currentStepIndex": index} if count else {})}
    return _stepped(item, sets, status)


def _promotes(item: Object, sets: Sets, status: Object, *, count: int) -> bool:
    if status.get("abort") or sets.new is None:
        return False
    if canary.available(sets.new) < canary.replicas_of(item):
        return False
    skips = status.get("promoteFull") or sets.is_stable
    return bool(skips or status.get("currentStepIndex", 0) >= count)


def _stepped(item: Object, sets: Sets, status: Object) -> Object:
    before = item["status"]
    step = canary.step_at(item, status.get("currentStepIndex"))
    kept = {name: before[name] for name in ("pauseConditions", "controllerPause") if before.get(name)}
    if step is None or item["spec"].get("paused"):
        return {**status, **kept}
    if _is_complete(item, sets, step, before):
        return {**status, "currentStepIndex": (status.get("currentStepIndex") or 0) + 1}
    if "pause" in step and canary.reached(item, sets) and not kept:
        since = {"reason": PAUSE_STEP, "startTime": clock.stamp()}
        return {**status, "pauseConditions": [since], "controllerPause": True}
    return {**status, **kept}


def _is_complete(item: Object, sets: Sets, step: Object, before: Object) -> bool:
    if "pause" not in step:
        return canary.reached(item, sets)
    pauses = before.get("pauseConditions") or []
    if before.get("controllerPause") and not pauses:
        return True  # somebody has cleared the conditions
    duration = (step["pause"] or {}).get("duration")
    return bool(pauses) and duration is not None and clock.age(pauses[0]["startTime"]) > seconds_of(duration)


def _told(conditions: list[Object], name: str) -> Object | None:
    return next((each for each in conditions if each["type"] == name), None)


def _deadline(item: Object) -> int:
    return int(item["spec"].get("progressDeadlineSeconds", DEADLINE_SECONDS))


def _is_healthy(item: Object, status: Object) -> bool:
    replicas, count = canary.replicas_of(item), len(canary.steps_of(item))
    names = ("updatedReplicas", "availableReplicas", "replicas")
    full = all(status.get(name, 0) == replicas for name in names)
    return (
        full and status["stableRS"] == status["currentPodHash"] and status.get("currentStepIndex", 0) == count
    )


def _conditions(item: Object, sets: Sets, status: Object) -> list[Object]:
    found = without_condition(status.get("conditions") or [], "InvalidSpec")
    paused = bool(status.get("pauseConditions") or item["spec"].get("paused"))
    healthy = not paused and _is_healthy(item, status)
    completed = status["stableRS"] == status["currentPodHash"]
    enough = status.get("availableReplicas", 0) >= canary.replicas_of(item)
    for name, holds, reason, words in (
        ("Available", enough, "AvailableReason", "Rollout has minimum availability"),
        ("Healthy", healthy, "RolloutHealthy", "Rollout is healthy"),
        ("Paused", paused, PAUSED, "Rollout is paused"),
        ("Completed", completed, "RolloutCompleted", "RolloutCompleted"),
    ):
        found = with_condition(found, condition(name, str(holds), reason=reason, message=words))
    return _progressing(item, sets, status, found, paused=paused and not completed, healthy=healthy)


def _progressing(
    item: Object, sets: Sets, status: Object, found: list[Object], *, paused: bool, healthy: bool
) -> list[Object]:
    old = _told(found, "Progressing") or {}
    name = f'ReplicaSet "{canary.name_of(sets.new)}"' if sets.new else "Rollout"
    if status.get("abort"):
        words = f"Rollout aborted update to revision {revision_of(item)}"
        return with_condition(found, condition("Progressing", "False", reason=ABORTED, message=words))
    if healthy:
        words = f"{name} has successfully progressed."
        return with_condition(found, condition("Progressing", "True", reason=DONE, message=words))
    if paused:
        words = "Rollout is paused"
        return with_condition(found, condition("Progressing", "Unknown", reason=PAUSED, message=words))
    if old.get("reason") in (None, PAUSED, ABORTED, DONE) or _has_moved(item["status"], status):
        words = f"{name} is progressing."
        news = condition("Progressing", "True", reason="ReplicaSetUpdated", message=words)
        return with_condition(found, news, renew=True)
    step = canary.step_at(item, status.get("currentStepIndex")) or {}
    if "pause" not in step and clock.age(old.get("lastUpdateTime")) >= _deadline(item):
        words = f"{name} has timed out progressing."
        return with_condition(found, condition("Progressing", "False", reason=TIMED_OUT, message=words))
    return found


def _has_moved(before: Object, status: Object) -> bool:
    names = ("updatedReplicas", "stableRS", "currentStepIndex", "currentStepHash")
    changed = any(before.get(name, 0) != status.get(name, 0) for name in names)
    more = any(status.get(name, 0) > before.get(name, 0) for name in ("readyReplicas", "availableReplicas"))
    return changed or more


def revision_of(item: Object) -> str:
    return str((item["metadata"].get("annotations") or {}).get("rollout.argoproj.io/revision", "0"))


def with_phase(item: Object, status: Object) -> Object:
    """The status with the phase that follows from it, and the words for it."""
    phase, message = _phase(item, status)
    kept = {name: value for name, value in status.items() if name not in ("phase", "message")}
    return {**kept, "phase": phase, **({"message": message} if message else {})}


def _phase(item: Object, status: Object) -> tuple[str, str]:
    for each in status.get("conditions") or []:
        if each["type"] == "InvalidSpec":
            return "Degraded", f"InvalidSpec: {each['message']}"
        if each["reason"] in (ABORTED, TIMED_OUT):
            return "Degraded", f"{each['reason']}: {each['message']}"
    if item["spec"].get("paused"):
        return "Paused", "manually paused"
    for each in status.get("pauseConditions") or []:
        return "Paused", str(each["reason"])
    waits_for = _waits_for(item, status)
    return ("Progressing", waits_for) if waits_for else ("Healthy", "")


def _waits_for(item: Object, status: Object) -> str:
    updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
    if updated < canary.replicas_of(item):
        return "more replicas need to be updated"
    if status.get("availableReplicas", 0) < updated:
        return "updated replicas are still becoming available"
    if total > updated:
        return "old replicas are pending termination"
    if status.get("stableRS") != status.get("currentPodHash"):
        return "waiting for all steps to complete"
    return ""
