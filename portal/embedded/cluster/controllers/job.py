"""The Job controller: runs pods until enough of them succeed, or gives up."""

from collections.abc import Iterable

from portal.embedded.cluster import clock, kinds
from portal.embedded.cluster.controllers import ownership, podwork
from portal.embedded.cluster.errors import ApiError
from portal.embedded.cluster.events import Events
from portal.embedded.cluster.objects import Objects, Options
from portal.embedded.cluster.store import Change, Key, Object, Store

COMPONENT = "job-controller"
RETRY_SECONDS = 2.0
BACKOFF_SECONDS = 1.0


class Jobs:
    def __init__(self, store: Store, objects: Objects, events: Events) -> None:
        self._store = store
        self._objects = objects
        self._events = events

    def keys(self, change: Change) -> Iterable[Key]:
        if change.kind is kinds.JOBS:
            yield change.object["metadata"]["namespace"], change.object["metadata"]["name"]
        if change.kind is kinds.PODS:
            yield from ownership.owner_key(change, kinds.JOBS)

    def sync(self, key: Key) -> float | None:
        item = self._store.get(kinds.JOBS, *key)
        if item is None or "deletionTimestamp" in item["metadata"]:
            return None
        if is_over(item):
            return self._after_life(item)
        pods = ownership.owned(self._store, kinds.PODS, kinds.JOBS, item, adopt=False)
        status = {**item["status"]}
        status.setdefault("startTime", clock.stamp())
        succeeded = sum(pod["status"].get("phase") == "Succeeded" for pod in pods)
        failed = sum(pod["status"].get("phase") == "Failed" for pod in pods)
        active = [pod for pod in pods if podwork.is_active(pod)]
        end = self._ending(item, status, succeeded=succeeded, failed=failed, pods=active)
        if end is not None:
            return self._finish(item, status, active, end=end, succeeded=succeeded, failed=failed)
        wait = self._start_missing(item, active, succeeded=succeeded, failed=failed, pods=pods)
        pods = ownership.owned(self._store, kinds.PODS, kinds.JOBS, item, adopt=False)
        active = [pod for pod in pods if podwork.is_active(pod)]
        self._write(item, status, active=active, succeeded=succeeded, failed=failed)
        deadline = item["spec"].get("activeDeadlineSeconds")
        if deadline is not None:
            left: float = max(deadline - clock.age(status["startTime"]), 0.05)
            return left if wait is None else min(left, wait)
        return wait

    def _ending(
        self, item: Object, status: Object, *, succeeded: int, failed: int, pods: list[Object]
    ) -> tuple[str, str, str] | None:
        """How the Job ends now: condition, reason and words."""
        spec = item["spec"]
        if succeeded >= spec.get("completions", 1):
            return "Complete", "CompletionsReached", "Reached expected number of succeeded pods"
        restarts = sum(
            each["restartCount"] for pod in pods for each in pod["status"].get("containerStatuses") or []
        )
        if failed + restarts > spec.get("backoffLimit", 6):
            return "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        deadline = spec.get("activeDeadlineSeconds")
        if deadline is not None and clock.age(status["startTime"]) >= deadline:
            return "Failed", "DeadlineExceeded", "Job was active longer than specified deadline"
        return None

    def _start_missing(
        self, item: Object, active: list[Object], *, succeeded: int, failed: int, pods: list[Object]
    ) -> float | None:
        spec = item["spec"]
        if spec.get("suspend"):
            return None
        wanted = min(spec.get("parallelism", 1), spec.get("completions", 1) - succeeded) - len(active)
        if wanted > 0 and failed:
            last = max(_ended_at(pod) for pod in pods if pod["status"].get("phase") == "Failed")
            wait: float = BACKOFF_SECONDS * 2 ** min(failed - 1, 5) - clock.age(last)
            if wait > 0:
                return wait
        owner = ownership.reference(kinds.JOBS, item)
        for _ in range(wanted):
            try:
                pod = podwork.create_from_template(
                    self._objects, item, owner, template=spec["template"], labels={}
                )
            except ApiError as error:
                self._tell(item, "FailedCreate", f"Error creating: {error.message}", warning=True)
                return RETRY_SECONDS
            self._tell(item, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
        return None

    def _finish(
        self,
        item: Object,
        status: Object,
        active: list[Object],
        *,
        end: tuple[str, str, str],
        succeeded: int,
        failed: int,
    ) -> float | None:
        name, reason, words = end
        for pod in active:
            metadata = pod["metadata"]
            self._objects.delete(kinds.PODS, metadata["namespace"], metadata["name"], options=Options())
        stamp = clock.stamp()
        steps = ["FailureTarget", "Failed"] if name == "Failed" else ["SuccessCriteriaMet", "Complete"]
        conditions = [
            {
                "type": step,
                "status": "True",
                "reason": reason,
                "message": words,
                "lastProbeTime": stamp,
                "lastTransitionTime": stamp,
            }
            for step in steps
        ]
        status["conditions"] = conditions
        if name == "Complete":
            status["completionTime"] = stamp
            self._tell(item, "Completed", "Job completed")
        else:
            failed += len(active) if reason == "DeadlineExceeded" else 0
            self._tell(item, reason, words, warning=True)
        self._write(item, status, active=[], succeeded=succeeded, failed=failed)
        return 0.05 if "ttlSecondsAfterFinished" in item["spec"] else None

    def _write(
        self, item: Object, status: Object, *, active: list[Object], succeeded: int, failed: int
    ) -> None:
        status |= {
            "active": len(active),
            "succeeded": succeeded,
            "failed": failed,
            "ready": sum(map(podwork.is_ready, active)),
            "terminating": 0,
            "uncountedTerminatedPods": {},
        }
        kept = {
            name: value for name, value in status.items() if value != 0 or name in ("ready", "terminating")
        }
        self._store.update(kinds.JOBS, {**item, "status": kept})

    def _after_life(self, item: Object) -> float | None:
        """A finished Job with a time to live goes when that is over."""
        seconds = item["spec"].get("ttlSecondsAfterFinished")
        if seconds is None:
            return None
        left: float = seconds - clock.age(item["status"]["conditions"][-1]["lastTransitionTime"])
        if left > 0:
            return left
        metadata = item["metadata"]
        options = Options(propagation="Background")
        self._objects.delete(kinds.JOBS, metadata["namespace"], metadata["name"], options=options)
        return None

    def _tell(self, item: Object, reason: str, message: str, *, warning: bool = False) -> None:
        self._events.tell(
            kinds.JOBS, item, reason=reason, message=message, component=COMPONENT, warning=warning
        )


def is_over(item: Object) -> bool:
    conditions = item["status"].get("conditions") or []
    return any(each["type"] in ("Complete", "Failed") and each["status"] == "True" for each in conditions)


def _ended_at(pod: Object) -> str:
    for each in pod["status"].get("containerStatuses") or []:
        if "terminated" in each["state"]:
            return str(each["state"]["terminated"]["finishedAt"])
    return str(pod["metadata"]["creationTimestamp"])
