"""Pretends to run pods: each pod's life is one coroutine that waits, writes its status and tells events."""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass

from portal.embedded.cluster import admission, clock, failures, kinds, scheduler
from portal.embedded.cluster.cluster import Cluster
from portal.embedded.cluster.containers import ContainerLife
from portal.embedded.cluster.events import Events
from portal.embedded.cluster.images import Images
from portal.embedded.cluster.podstatus import PodStatus
from portal.embedded.cluster.store import Change, Object

LOGGER = logging.getLogger(__name__)
ENDED = ("Succeeded", "Failed")
ENDS_AFTER = "practice/ends-after"


@dataclass(frozen=True, slots=True)
class Times:
    """How long the steps of a pod's life take, in seconds."""

    pull: float = 0.4
    start: float = 0.3
    ready: float = 0.5
    terminate: float = 0.5
    job: float = 1.0


class Kubelet:
    def __init__(self, cluster: Cluster, events: Events, images: Images, times: Times) -> None:
        self._cluster = cluster
        self._store = cluster.store
        self._events = events
        self._images = images
        self._times = times
        self._present: set[str] = set()
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._endings: dict[str, asyncio.Task[None]] = {}
        self._unscheduled: set[str] = set()
        self._store.listen(self._hear)

    def begin(self) -> None:
        """Take up the pods that a former process left."""
        for pod in self._store.every(kinds.PODS):
            self._see(pod)

    def _hear(self, change: Change) -> None:
        if change.kind is kinds.PODS:
            if change.word == "DELETED":
                self._forget(change.object["metadata"]["uid"])
            else:
                self._see(change.object)
        elif change.kind in (kinds.NODES, kinds.CLAIMS) and self._unscheduled:
            asyncio.get_running_loop().call_soon(self._try_again)

    def _try_again(self) -> None:
        for pod in self._store.every(kinds.PODS):
            uid = pod["metadata"]["uid"]
            if uid in self._unscheduled and uid not in self._lives:
                self._start(self._lives, uid, self._live(pod))

    def _see(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        if "deletionTimestamp" in pod["metadata"]:
            if uid not in self._endings:
                self._start(self._endings, uid, self._end(pod))
        elif (
            uid not in self._lives
            and uid not in self._unscheduled
            and pod["status"].get("phase") not in ENDED
        ):
            self._start(self._lives, uid, self._live(pod))

    def _start(
        self, tasks: dict[str, asyncio.Task[None]], uid: str, life: Coroutine[object, object, None]
    ) -> None:
        task = asyncio.ensure_future(life)
        tasks[uid] = task
        task.add_done_callback(_report)

    def _forget(self, uid: str) -> None:
        self._unscheduled.discard(uid)
        self._cluster.logs.forget(uid)
        for tasks in (self._lives, self._endings):
            task = tasks.pop(uid, None)
            if task is not None and task is not asyncio.current_task():
                task.cancel()

    async def _live(self, pod: Object) -> None:
        # One turn of the loop later: whoever created the pod may still be at work.
        await asyncio.sleep(0)
        uid = pod["metadata"]["uid"]
        scheduled = self._schedule(pod)
        if scheduled is None:
            self._lives.pop(uid, None)
            return
        status = PodStatus(self._store, scheduled)
        started = status.fields.setdefault("startTime", clock.stamp())
        status.write(**self._addresses(scheduled), startTime=started)
        life = self._container_life(scheduled, status)
        if life.is_running():
            await life.go_on()
        else:
            await life.run()

    def _container_life(self, pod: Object, status: PodStatus) -> ContainerLife:
        return ContainerLife(
            pod,
            status,
            store=self._store,
            events=self._events,
            images=self._images,
            times=self._times,
            logs=self._cluster.logs,
            present=self._present,
            faults=self._cluster.faults,
        )

    def _schedule(self, pod: Object) -> Object | None:
        """The pod with its node; None while no node takes it."""
        status = PodStatus(self._store, pod)
        current = status.pod
        if current is None or current["spec"].get("nodeName"):
            return current
        node, problem = scheduler.choose(self._store, current)
        metadata = current["metadata"]
        if problem:
            if metadata["uid"] not in self._unscheduled:
                self._unscheduled.add(metadata["uid"])
                self._refuse(current, problem)
            return None
        self._unscheduled.discard(metadata["uid"])
        words = f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {node}"
        bound = {**current, "spec": {**current["spec"], "nodeName": node}}
        bound["status"] = {**current["status"], "conditions": [_scheduled("True")]}
        bound = self._store.update(kinds.PODS, bound)
        self._events.tell_scheduling(bound, reason="Scheduled", message=words, warning=False)
        return bound

    def _refuse(self, pod: Object, problem: str) -> None:
        condition = {**_scheduled("False"), "reason": "Unschedulable", "message": problem}
        self._store.update(kinds.PODS, {**pod, "status": {**pod["status"], "conditions": [condition]}})
        self._events.tell_scheduling(pod, reason="FailedScheduling", message=problem, warning=True)

    def _addresses(self, pod: Object) -> Object:
        present = pod["status"].get("podIP")
        if present is None:
            taken = {other["status"].get("podIP") for other in self._store.every(kinds.PODS)}
            present = admission.free_address(admission.POD_NETWORK, taken=taken)
        return {
            "podIP": present,
            "podIPs": [{"ip": present}],
            "hostIP": "127.0.0.1",
            "hostIPs": [{"ip": "127.0.0.1"}],
        }

    async def _end(self, pod: Object) -> None:
        """Stop a pod that is to go, and let it go."""
        uid = pod["metadata"]["uid"]
        life = self._lives.pop(uid, None)
        if life is not None:
            life.cancel()
        for name in [each["name"] for each in pod["spec"]["containers"]]:
            if _runs(pod, name):
                self._tell(pod, f"Stopping container {name}")
        await asyncio.sleep(self._ending_seconds(pod))
        current = PodStatus(self._store, pod).pod
        if current is None:
            return
        gone = {**current, "metadata": {**current["metadata"], "deletionGracePeriodSeconds": 0}}
        if current["metadata"].get("finalizers"):
            self._store.update(kinds.PODS, gone)
        else:
            self._cluster.objects.finish(kinds.PODS, gone)

    def _ending_seconds(self, pod: Object) -> float:
        """How long its containers take to end, as its annotation says; never longer than they are given."""
        asked = (pod["metadata"].get("annotations") or {}).get(ENDS_AFTER)
        wanted = self._times.terminate if asked is None else failures.seconds(asked)
        given: float = pod["metadata"].get("deletionGracePeriodSeconds", 30)
        return min(wanted, given)

    def _tell(self, pod: Object, message: str) -> None:
        self._events.tell(kinds.PODS, pod, reason="Killing", message=message, component="kubelet")

    async def stop(self) -> None:
        tasks = [*self._lives.values(), *self._endings.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _scheduled(status: str) -> Object:
    return {
        "type": "PodScheduled",
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": clock.stamp(),
    }


def _runs(pod: Object, container: str) -> bool:
    statuses = pod["status"].get("containerStatuses") or []
    return any(each["name"] == container and "running" in each["state"] for each in statuses)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        LOGGER.error("a pod's life broke off", exc_info=task.exception())
