"""Which changes of watched objects a step may wait for, and how soon it should hear of them.

Most changes while pods start end no wait and are nothing that people are shown: where a pod was put, that its
image is being pulled, a probe's time. Those are no reason to look at a rollout.
"""

from enum import IntEnum
from typing import Any

from portal.integrations.kubernetes import rollout_status
from portal.integrations.kubernetes.trouble import TOLD_IN_EVENTS
from portal.integrations.kubernetes.workloads import ROLLOUT, Workload, container_statuses
from releases.rollouts.running import reported_by

Json = dict[str, Any]
ROLLOUTS, PODS, EVENTS = "rollouts", "pods", "events"
KINDS = {
    "deployments": "Deployment",
    "statefulsets": "StatefulSet",
    "daemonsets": "DaemonSet",
    ROLLOUTS: "Rollout",
}
STARTING_PHASES = frozenset({"Pending", "Running"})
STARTING_REASONS = frozenset({"ContainerCreating", "PodInitializing"})
# What a pod looks like that starts, and an event of no trouble.
CALM: dict[str, Any] = {PODS: (False, "", "", ()), EVENTS: ""}


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
        self.shown: dict[str, object] = {}

    def shows(self, kind: str, body: Json) -> bool:
        """Whether the board may show a change: of pods, what nodes report of those that stay; no event."""
        if self.plural != PODS:
            return self.plural != EVENTS
        uid = str((body.get("metadata") or {}).get("uid"))
        if kind == "LISTED":
            self.shown.clear()
        if kind in {"LISTED", "DELETED"}:
            return bool(self.shown.pop(uid, True))
        before = self.shown.get(uid, () if kind == "ADDED" else None)
        now = self.shown[uid] = _shown_of(body)
        return now != before

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
        if self.plural in KINDS:
            workload = Workload({"kind": KINDS[self.plural], **body})
            progress = rollout_status.judge(workload)
            now, ends = _of_workload(workload, progress), _ends_wait(workload, progress)
        else:
            now, ends = _sight_of(self.plural, body), _has_succeeded(self.plural, body)
        self.known[uid] = now
        if now == before:
            return Urgency.ROWS
        return Urgency.NOW if ends else Urgency.SOON


def _ends_wait(workload: Workload, progress: rollout_status.Progress) -> bool:
    """Whether a change of a workload may be what a step waits for: a rollout that is done, or cannot be."""
    # The rules of a rollout wait for no pods that are only too many; a falling size waits for nothing else.
    shrinks = workload.kind != ROLLOUT and int(workload.status.get("replicas") or 0) > workload.replicas
    done = progress.done and not shrinks
    return done or bool(progress.failure) or progress.waits_for == "promotion"


def _has_succeeded(plural: str, body: Json) -> bool:
    """Whether a pod has done its work: only a Job's pods end so, and its own end follows at once."""
    return plural == PODS and (body.get("status") or {}).get("phase") == "Succeeded"


def _sight_of(plural: str, body: Json) -> object:
    if plural == PODS:
        return _of_pod(body)
    if plural == EVENTS:
        # How often it has come since is no news.
        return reason if (reason := body.get("reason")) in TOLD_IN_EVENTS else CALM[EVENTS]
    return body["metadata"].get("resourceVersion")


def _of_workload(workload: Workload, progress: rollout_status.Progress) -> object:
    """How far it is; what keeps a ReplicaSet from making pods is among its conditions."""
    status, metadata = workload.status, workload.raw["metadata"]
    if workload.kind == ROLLOUT:
        return repr(sorted(status.items()))
    return (progress, metadata.get("generation"), metadata.get("deletionTimestamp"), _conditions(status))


def _shown_of(pod: Json) -> object:
    """What a pod adds to what is seen to run; nothing while it goes."""
    if pod["metadata"].get("deletionTimestamp"):
        return ()
    reported = reported_by(pod)
    return (pod["metadata"].get("labels"), reported) if reported else ()


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
