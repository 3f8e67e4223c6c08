"""Which changes of watched objects a step may wait for, and how soon it should hear of them.

Most changes while pods start end no wait and are nothing that people are shown: where a pod was put, that its
image is being pulled, a probe's time. Those are no reason to look at a rollout.
"""

from enum import IntEnum
from typing import Any

from portal.integrations.kubernetes import rollout_status
from portal.integrations.kubernetes.trouble import TOLD_IN_EVENTS
from portal.integrations.kubernetes.workloads import Workload, container_statuses

Json = dict[str, Any]
ROLLOUTS, PODS, REPLICA_SETS, EVENTS = "rollouts", "pods", "replicasets", "events"
KINDS = {
    "deployments": "Deployment",
    "statefulsets": "StatefulSet",
    "daemonsets": "DaemonSet",
    ROLLOUTS: "Rollout",
}
STARTING_PHASES = frozenset({"Pending", "Running"})
STARTING_REASONS = frozenset({"ContainerCreating", "PodInitializing"})
# What a pod looks like that starts, and a set that has no trouble.
CALM: dict[str, Any] = {PODS: (False, "", "", ()), REPLICA_SETS: (), EVENTS: ""}


class Urgency(IntEnum):
    """How much a change matters: to readers of the board alone, to a rollout, or to its next step."""

    ROWS = 0
    SOON = 1
    NOW = 2


class Seen:
    """What was seen last of each object of a collection."""

    def __init__(self, plural: str) -> None:
        self.plural = plural
        self.known: dict[str, object] = {}

    def judge(self, kind: str, body: Json) -> Urgency:
        """Say how much a change matters, and remember it.

        Args:
            kind: ADDED, MODIFIED or DELETED; LISTED with an empty body after each full list.
        """
        metadata = body.get("metadata") or {}
        uid = str(metadata.get("uid"))
        if kind == "LISTED":
            # What was known is older than the list, and what it holds was not told one by one.
            self.known.clear()
        if kind in {"LISTED", "DELETED"}:
            self.known.pop(uid, None)
            if self.plural == EVENTS and kind == "DELETED":
                return Urgency.ROWS  # it was told of long ago
            return Urgency.NOW if self.plural in KINDS else Urgency.SOON
        if self.plural == PODS and metadata.get("deletionTimestamp"):
            return Urgency.ROWS  # told of when it is gone
        before = self.known.get(uid, CALM.get(self.plural) if kind == "ADDED" else None)
        now = self.known[uid] = _sight_of(self.plural, body)
        if now == before:
            return Urgency.ROWS
        ends = ends_wait(self.plural, body) if self.plural in KINDS else _has_succeeded(self.plural, body)
        return Urgency.NOW if ends else Urgency.SOON


def ends_wait(plural: str, body: Json) -> bool:
    """Whether a change of a workload may be what a step waits for: a rollout that is done, or cannot be."""
    workload = _workload(plural, body)
    progress = rollout_status.judge(workload)
    # The rules of a rollout wait for no pods that are only too many; a falling size waits for nothing else.
    shrinks = plural != ROLLOUTS and int(workload.status.get("replicas") or 0) > workload.replicas
    done = progress.done and not shrinks
    return done or bool(progress.failure) or progress.waits_for == "promotion"


def _has_succeeded(plural: str, body: Json) -> bool:
    """Whether a pod has done its work: only a Job's pods end so, and its own end follows at once."""
    return plural == PODS and (body.get("status") or {}).get("phase") == "Succeeded"


def _workload(plural: str, body: Json) -> Workload:
    return Workload({"kind": KINDS[plural], **body})


def _sight_of(plural: str, body: Json) -> object:
    if plural == PODS:
        return _of_pod(body)
    if plural == EVENTS:
        # How often it has come since is no news.
        return reason if (reason := body.get("reason")) in TOLD_IN_EVENTS else CALM[EVENTS]
    status = body.get("status") or {}
    if plural == REPLICA_SETS:
        return _conditions(status)
    if plural == ROLLOUTS:
        return repr(sorted(status.items()))
    if plural in KINDS:
        metadata = body["metadata"]
        rules = rollout_status.judge(_workload(plural, body))
        return (rules, metadata.get("generation"), metadata.get("deletionTimestamp"), _conditions(status))
    return body["metadata"].get("resourceVersion")


def _conditions(status: Json) -> tuple[tuple[object, ...], ...]:
    found = status.get("conditions") or []
    return tuple((each.get("type"), each.get("status"), each.get("reason")) for each in found)


def _of_pod(body: Json) -> tuple[object, ...]:
    """Whether it is ready, and what may be trouble."""
    status = body.get("status") or {}
    phase = str(status.get("phase") or "")
    said = {each.get("type"): each for each in status.get("conditions") or []}
    placed = said.get("PodScheduled") or {}
    containers = tuple(found for each in container_statuses(body) if any((found := _of_container(each))[1:]))
    return (
        (said.get("Ready") or {}).get("status") == "True",
        "" if phase in STARTING_PHASES else phase,
        str(placed.get("reason") or "") if placed.get("status") == "False" else "",
        containers,
    )


def _of_container(status: Json) -> tuple[object, ...]:
    """Its name, and what is only there with trouble: restarts, and why it waits or has ended."""
    state = status.get("state") or {}
    waits = state.get("waiting") or {}
    # As trouble is read: how it ended last counts too once it was started again.
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    starts = waits.get("reason") in STARTING_REASONS
    return (
        status.get("name"),
        int(status.get("restartCount") or 0),
        () if starts or not waits else (waits.get("reason"), waits.get("message")),
        () if not ended else (ended.get("reason"), ended.get("exitCode")),
    )
