"""Failing in seconds: reads what is wrong from pods, ReplicaSets and events, long before a deadline does.

Pure. Signals and how long each may last before it counts as final: protocols.md, A4. Only pods of the new
ReplicaSet are looked at, init containers as well; a baseline keeps out what was broken before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from portal.integrations.kubernetes.rollout_status import condition
from portal.integrations.kubernetes.workloads import Json, container_statuses

AT_ONCE = 0.0
NEVER = float("inf")
# How long a waiting reason may stand (seconds), and the sight at which it is final whatever the time.
PATIENCE: dict[str, tuple[float, int]] = {
    "InvalidImageName": (AT_ONCE, 1),
    "ErrImageNeverPull": (AT_ONCE, 1),
    "ErrImagePull": (20.0, 2),
    "ImageInspectError": (60.0, 1_000),
    "RegistryUnavailable": (60.0, 1_000),
    "CreateContainerConfigError": (15.0, 1_000),
    "CreateContainerError": (20.0, 2),
    "RunContainerError": (20.0, 2),
    "PreCreateHookError": (20.0, 2),
    "PreStartHookError": (20.0, 2),
    "PostStartHookError": (20.0, 2),
    "CreatePodSandboxError": (60.0, 1_000),
    "FailedMount": (60.0, 1_000),
    "Unschedulable": (60.0, 1_000),
    "FailedCreate": (10.0, 1_000),
    "Evicted": (NEVER, 2),
    "PodFailed": (NEVER, 2),
    "CrashLoopBackOff": (NEVER, 2),
    "OOMKilled": (NEVER, 2),
    "Unhealthy": (NEVER, 1_000_000),
    "InitRuns": (NEVER, 1_000_000),
}
SAME = {"ImagePullBackOff": "ErrImagePull"}
# Words of registries that no waiting will change.
HOPELESS_PULL = ("not found", "unauthorized", "denied", "manifest unknown", "no such")
UNSCHEDULABLE = "Unschedulable"
# An init container that goes on and on, waiting for another service perhaps: told after a while, never final.
INIT_RUNS = "InitRuns"
QUIET_SECONDS = {INIT_RUNS: 20.0}
PER_POD = frozenset({UNSCHEDULABLE, INIT_RUNS, "FailedMount"})
# What keeps a pod from having a container at all; a volume is attached to the node, then mounted.
BEFORE_CONTAINERS = {
    "FailedCreatePodSandBox": "CreatePodSandboxError",
    "FailedAttachVolume": "FailedMount",
    "FailedMount": "FailedMount",
}
PROBE_EVENT = "Unhealthy"
# What is told in events alone, and by which field selector these are found: it knows no "or".
TOLD_IN_EVENTS, WARNINGS = frozenset({*BEFORE_CONTAINERS, PROBE_EVENT}), "type=Warning"


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One thing that is wrong with a rollout.

    Attributes:
        code: the cluster's own name for it, such as ErrImagePull.
        message: the cluster's own words.
        final: no reason is left to wait any longer.
        after_seconds: from the first sight until it becomes final by time alone; None: never by time.
    """

    code: str
    message: str
    pod: str = ""
    container: str = ""
    exit_code: int | None = None
    restarts: int = 0
    final: bool = False
    after_seconds: float | None = None


@dataclass(frozen=True)
class Sign:
    """One signal as read from the cluster at one moment.

    `face` tells repeated sights apart; `times` is how often it has happened by what the cluster counts.
    """

    code: str
    message: str
    pod: str = ""
    container: str = ""
    exit_code: int | None = None
    restarts: int = 0
    face: str = ""
    times: int = 0
    hopeless: bool = False

    @property
    def key(self) -> str:
        """What counts as the same trouble over time; for a node or a volume each pod waits by itself."""
        return f"{self.code}/{self.pod if self.code in PER_POD else self.container}"


@dataclass
class Sights:
    """What was seen before, kept between two looks: {key: {"first": iso time, "faces": [...]}}."""

    seen: dict[str, dict[str, Any]] = field(default_factory=dict)

    def note(self, sign: Sign, now: datetime) -> tuple[float, int]:
        """Remember a sight; return its age in seconds and how many different ones there were."""
        entry = self.seen.setdefault(sign.key, {"first": now.isoformat(), "faces": []})
        if sign.face not in entry["faces"] and len(entry["faces"]) < 10:
            entry["faces"].append(sign.face)
        age = (now - datetime.fromisoformat(entry["first"])).total_seconds()
        return age, len(entry["faces"])

    def forget_all_but(self, keys: Iterable[str]) -> None:
        """Drop what has healed, so that a later one starts its own clock."""
        self.seen = {key: entry for key, entry in self.seen.items() if key in set(keys)}


def restart_counts(pods: Sequence[Json]) -> dict[str, int]:
    """Return the baseline: restarts so far by pod and container."""
    return {
        f"{pod['metadata']['name']}/{status['name']}": int(status.get("restartCount") or 0)
        for pod in pods
        for status in container_statuses(pod)
    }


def find_trouble(
    *,
    pods: Sequence[Json],
    owner: Json | None,
    events: Sequence[Json] = (),
    sights: Sights,
    now: datetime,
    baseline: Mapping[str, int] | None = None,
) -> list[Trouble]:
    """Return what is wrong now, the gravest first; `sights` is brought up to date.

    Args:
        pods: those of the new ReplicaSet (of the new revision for a StatefulSet).
        owner: the new ReplicaSet or the workload itself, for its conditions.
        events: of the pods, where something is only told there.
        baseline: restarts that were there before the rollout began.
    """
    signs = [sign for pod in pods for sign in _pod_signs(pod, events, baseline or {})]
    signs += _owner_signs(owner)
    found = [trouble for sign in signs if (trouble := _judged(sign, sights, now)) is not None]
    # A crash loop that runs for a moment between two deaths is still the same trouble.
    standing = {sign.key for sign in signs} | {
        key
        for key in sights.seen
        if key.startswith(("CrashLoopBackOff/", "OOMKilled/", "Evicted/", "PodFailed/"))
    }
    sights.forget_all_but(standing)
    return sorted(
        found, key=lambda each: (not each.final, each.after_seconds is None, each.after_seconds or 0.0)
    )


def find_trouble_since(
    *, pods: Sequence[Json], before: Mapping[str, int], done: Mapping[str, int], now: datetime
) -> Trouble | None:
    """Return what is wrong with pods whose rollout was done a while ago; None where nothing is.

    A container that died once on its way is forgiven, one that dies after it is not.

    Args:
        before: restarts that were there before the rollout began.
        done: restarts that were there when it was done.
    """
    standing = find_trouble(pods=pods, owner=None, sights=Sights(), now=now, baseline=before)
    fresh = find_trouble(pods=pods, owner=None, sights=Sights(), now=now, baseline={**before, **done})
    return next((each for each in standing if each.final), None) or next(iter(fresh), None)


def _judged(sign: Sign, sights: Sights, now: datetime) -> Trouble | None:
    seconds, sight = PATIENCE.get(sign.code, (30.0, 1_000))
    age, seen = sights.note(sign, now)
    if age < QUIET_SECONDS.get(sign.code, 0.0):
        return None
    seen = max(seen, sign.times)
    final = sign.hopeless or age >= seconds or seen >= sight
    return Trouble(
        code=sign.code,
        message=sign.message,
        pod=sign.pod,
        container=sign.container,
        exit_code=sign.exit_code,
        restarts=sign.restarts,
        final=final,
        after_seconds=None if seconds == NEVER else max(seconds - age, 0.0),
    )


def _pod_signs(pod: Json, events: Sequence[Json], baseline: Mapping[str, int]) -> list[Sign]:
    name = pod["metadata"]["name"]
    status = pod.get("status") or {}
    if status.get("phase") == "Failed":
        reason = status.get("reason") or "PodFailed"
        code = "Evicted" if reason == "Evicted" else "PodFailed"
        return [Sign(code, str(status.get("message") or reason), pod=name, face=name)]
    scheduled = condition(status, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return [Sign(UNSCHEDULABLE, str(scheduled.get("message", "")), pod=name)]
    signs = [sign for each in container_statuses(pod) for sign in _container_signs(name, each, baseline)]
    return signs or _event_signs(pod, events) or _init_signs(pod)


def _container_signs(pod: str, status: Json, baseline: Mapping[str, int]) -> list[Sign]:
    container = status["name"]
    restarts = int(status.get("restartCount") or 0) - baseline.get(f"{pod}/{container}", 0)
    state = status.get("state") or {}
    waiting = state.get("waiting") or {}
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    reason = waiting.get("reason") or ""
    if ended.get("reason") == "OOMKilled" and (restarts > 0 or state.get("terminated")):
        # Each death is seen several times: before the next run, which counts as a restart, and during it.
        deaths = restarts + ("running" not in state)
        return [_ended_sign("OOMKilled", pod, container, ended, restarts, times=deaths)]
    if reason == "CrashLoopBackOff" or (restarts > 0 and ended.get("exitCode")):
        words = waiting.get("message")
        return [
            _ended_sign("CrashLoopBackOff", pod, container, ended, restarts, times=restarts, message=words)
        ]
    if not reason or reason in {"ContainerCreating", "PodInitializing"}:
        return []
    code = SAME.get(reason, reason)
    message = str(waiting.get("message") or reason)
    hopeless = code == "ErrImagePull" and any(word in message.lower() for word in HOPELESS_PULL)
    known = code in PATIENCE or code.startswith("Err") or code.endswith(("Error", "BackOff"))
    # The kubelet alternates between failing and backing off: the second face is a second try.
    sign = Sign(code, message, pod=pod, container=container, face=reason, hopeless=hopeless)
    return [sign] if known else []


def _ended_sign(
    code: str, pod: str, container: str, ended: Json, restarts: int, *, times: int, message: object = None
) -> Sign:
    words = str(ended.get("message") or message or ended.get("reason") or code)
    return Sign(
        code,
        words,
        pod=pod,
        container=container,
        exit_code=ended.get("exitCode"),
        restarts=restarts,
        # Several pods that each died once wait for something together; one that dies twice does not heal.
        face=f"{pod}/{times}" if code == "OOMKilled" else str(times),
        times=times,
    )


def _event_signs(pod: Json, events: Sequence[Json]) -> list[Sign]:
    name = pod["metadata"]["name"]
    own = sorted((each for each in events if _is_about(each, pod)), key=event_time)
    stuck = [each for each in own if each.get("reason") in BEFORE_CONTAINERS]
    if stuck and not _may_start_containers(pod):
        code = BEFORE_CONTAINERS[stuck[-1]["reason"]]
        return [Sign(code, str(stuck[-1].get("message", "")), pod=name)]
    unhealthy = [each for each in own if each.get("reason") == PROBE_EVENT]
    if unhealthy and condition(pod.get("status") or {}, "Ready").get("status") != "True":
        words, container = str(unhealthy[-1].get("message", "")), _container_of(unhealthy[-1])
        return [Sign("Unhealthy", words, pod=name, container=container)]
    return []


def _init_signs(pod: Json) -> list[Sign]:
    """The init container that runs now; one that stays beside the others is none of those."""
    stays = {
        each["name"]
        for each in (pod.get("spec") or {}).get("initContainers") or []
        if each.get("restartPolicy") == "Always"
    }
    return [
        Sign(INIT_RUNS, f"{status['name']} runs", pod=pod["metadata"]["name"], container=status["name"])
        for status in (pod.get("status") or {}).get("initContainerStatuses") or []
        if (status.get("state") or {}).get("running") is not None and status["name"] not in stays
    ]


def _owner_signs(owner: Json | None) -> list[Sign]:
    if owner is None:
        return []
    failure = condition(owner.get("status") or {}, "ReplicaFailure")
    if failure.get("status") != "True":
        return []
    return [Sign("FailedCreate", str(failure.get("message", "")))]


def _is_about(event: Json, pod: Json) -> bool:
    """Whether an event is of this pod, and not of one before it that had its name."""
    about, metadata = event.get("involvedObject") or {}, pod["metadata"]
    return about.get("name") == metadata["name"] and about.get("uid") in {None, "", metadata.get("uid")}


def _container_of(event: Json) -> str:
    """The container that an event is about, empty where it is about none: `spec.containers{web}`."""
    path = str((event.get("involvedObject") or {}).get("fieldPath") or "")
    return path.partition("{")[2].rstrip("}")


def _may_start_containers(pod: Json) -> bool:
    """Whether volumes and sandbox are there: the events that said otherwise stand for an hour all the same.

    Older clusters do not have the condition; there a container that has run says it.
    """
    if condition(pod.get("status") or {}, "PodReadyToStartContainers").get("status") == "True":
        return True
    return any(
        status.get("started") or status.get("lastState") or (status.get("state") or {}).keys() - {"waiting"}
        for status in container_statuses(pod)
    )


def event_time(event: Json) -> str:
    """Return when it happened; controllers and the scheduler fill different fields (protocols.md, A4)."""
    metadata = event.get("metadata") or {}
    at = event.get("lastTimestamp") or event.get("eventTime") or metadata.get("creationTimestamp")
    return str(at or "")
