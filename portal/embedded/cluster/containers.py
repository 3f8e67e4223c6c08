"""The life of a pod's containers: pull, create, start, become ready, and fail in the ways asked for."""

import asyncio
import hashlib
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING

from portal.embedded.cluster import clock, kinds, volumes
from portal.embedded.cluster.events import Events
from portal.embedded.cluster.failures import TABLE, Failure, Way, failure_of
from portal.embedded.cluster.faults import Faults
from portal.embedded.cluster.images import HOST, Images, read_reference
from portal.embedded.cluster.logs import Logs
from portal.embedded.cluster.podstatus import PodStatus
from portal.embedded.cluster.store import Object, Store

if TYPE_CHECKING:
    from portal.embedded.cluster.kubelet import Times

PULL_ERROR_SECONDS = 2.0
PULL_BACKOFF_SECONDS = 8.0
FIRST_RESTART_SECONDS = 0.1
PROBE_SECONDS = 5.0
MOUNT_SECONDS = 2.0
DIES = (Way.CRASH, Way.FLAP)


class ContainerLife:
    """Runs the containers of one pod until it ends, fails for good, or is cancelled."""

    def __init__(
        self,
        pod: Object,
        status: PodStatus,
        *,
        store: Store,
        events: Events,
        images: Images,
        times: "Times",
        logs: Logs,
        present: set[str],
        faults: Faults,
    ) -> None:
        self._pod = pod
        self._status = status
        self._store = store
        self._events = events
        self._images = images
        self._times = times
        self._logs = logs
        self._present = present
        self._faults = faults

    def is_running(self) -> bool:
        """Whether a former process left every container running."""
        return all(
            "running" in self._status.containers[name]["state"] and self._status.containers[name]["ready"]
            for name in self._status.main_names
        )

    async def run(self) -> None:
        """From the volumes and the sandbox to the end of all containers."""
        self._status.condition("PodScheduled", "True")
        await self._mount()
        failures = [self._failure(each) for each in self._all()]
        if any(failure is not None and failure.way is Way.SANDBOX for failure in failures):
            await self._sandbox_fails()
        self._status.condition("PodReadyToStartContainers", "True")
        self._status.judge()
        self._status.write(phase="Pending")
        for container in self._pod["spec"].get("initContainers") or []:
            await self._initialize(container)
        for name in self._status.main_names:
            if self._status.containers[name]["state"].get("waiting", {}).get("reason") == "PodInitializing":
                self._status.set(name, {"waiting": {"reason": "ContainerCreating"}})
        self._status.judge()
        self._status.write()
        await self._together(self._main(each) for each in self._pod["spec"]["containers"])

    async def go_on(self) -> None:
        """Take up containers that already run."""
        for name in self._status.main_names:
            self._logs.begin(self._status.uid, name)
            self._logs.write(self._status.uid, name, "the node was restarted; the application goes on")
        await self._together(self._stay(each) for each in self._pod["spec"]["containers"])

    async def _together(self, lives: Iterable[Coroutine[None, None, None]]) -> None:
        async with asyncio.TaskGroup() as group:
            for life in lives:
                group.create_task(life)

    def _all(self) -> list[Object]:
        return [*(self._pod["spec"].get("initContainers") or []), *self._pod["spec"]["containers"]]

    def _failure(self, container: Object) -> Failure | None:
        is_init = container["name"] in self._status.init_names
        return failure_of(self._pod, container, is_init=is_init, images=self._images)

    async def _mount(self) -> None:
        if volumes.unmounted(self._store, self._pod):
            self._no_containers_yet()
        while words := volumes.unmounted(self._store, self._pod):
            self._tell("FailedMount", words, warning=True)
            await asyncio.sleep(MOUNT_SECONDS)

    async def _sandbox_fails(self) -> None:
        words = (
            "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for "
            "sandbox: plugin type=practice failed (add): no address left"
        )
        self._no_containers_yet()
        while True:
            self._tell("FailedCreatePodSandBox", words, warning=True)
            await asyncio.sleep(PULL_BACKOFF_SECONDS)

    def _no_containers_yet(self) -> None:
        self._status.condition("PodReadyToStartContainers", "False")
        self._status.judge()
        self._status.write(phase="Pending")

    async def _initialize(self, container: Object) -> None:
        failure = self._failure(container)
        await self._prepare(container, failure)
        while failure is not None and (
            failure.way in (*DIES, Way.EXIT) or self._has_to_die_once(container, failure)
        ):
            self._run_begins(container)
            await asyncio.sleep(failure.after_seconds)
            await self._dies(container, failure)
        self._run_begins(container)
        await self._goes_on(failure)
        state = self._terminated(container, code=0, reason="Completed")
        self._status.set(container["name"], state, ready=True, started=False)
        self._status.judge()
        self._status.write()

    async def _goes_on(self, failure: Failure | None) -> None:
        """The run of an init container, which may wait for something that comes late or never."""
        way = failure.way if failure is not None else None
        if failure is None or way not in (Way.LATE, Way.NEVER_READY):
            await asyncio.sleep(self._times.start)
            return
        self._status.write()
        await (asyncio.sleep(failure.after_seconds) if way is Way.LATE else asyncio.Event().wait())

    async def _main(self, container: Object) -> None:
        failure = self._failure(container)
        await self._prepare(container, failure)
        await asyncio.sleep(self._times.start)
        self._run_begins(container)
        self._status.write(phase="Running")
        if self._pod["spec"]["restartPolicy"] != "Always":
            await self._finish(container, failure)
            return
        while failure is not None and (failure.way is Way.CRASH or self._has_to_die_once(container, failure)):
            await asyncio.sleep(failure.after_seconds)
            await self._dies(container, failure)
            self._run_begins(container)
            self._status.write()
        if failure is not None and failure.way is Way.NEVER_READY:
            await self._probe_fails(container)
        await asyncio.sleep(self._ready_seconds(container, failure))
        self._becomes_ready(container)
        await self._stay(container)

    def _has_to_die_once(self, container: Object, failure: Failure) -> bool:
        return failure.way is Way.ONCE and self._status.restarts(container["name"]) == 0

    def _ready_seconds(self, container: Object, failure: Failure | None) -> float:
        if failure is not None and failure.way in (Way.LATE, Way.ONCE):
            return failure.after_seconds
        if failure is not None and failure.way is Way.FLAP:
            return min(self._times.ready, failure.after_seconds / 2)
        delay: float = (container.get("readinessProbe") or {}).get("initialDelaySeconds", 0)
        return max(self._times.ready, delay)

    def _becomes_ready(self, container: Object) -> None:
        self._status.set(container["name"], self._status.containers[container["name"]]["state"], ready=True)
        self._log(container, "ready to serve requests")
        self._status.judge()
        self._status.write()

    async def _stay(self, container: Object) -> None:
        """What a ready container does until it is stopped."""
        failure = self._failure(container)
        while True:
            dies_after = self._faults.pods_die_after_seconds
            if failure is not None and failure.way is Way.EVICT:
                await asyncio.sleep(failure.after_seconds)
                self._evict(failure)
                return
            if failure is not None and failure.way is Way.EXIT:
                await asyncio.sleep(failure.after_seconds)
                self._exit(container, failure)
                return
            if failure is not None and failure.way is Way.FLAP:
                await asyncio.sleep(failure.after_seconds)
                await self._dies(container, failure)
            elif dies_after is not None:
                await asyncio.sleep(dies_after)
                await self._dies(container, Failure("CrashLoopBackOff", Way.FLAP, "", dies_after, 3.0, 1))
            else:
                return
            self._run_begins(container)
            self._status.write()
            await asyncio.sleep(self._ready_seconds(container, failure))
            self._becomes_ready(container)

    async def _finish(self, container: Object, failure: Failure | None) -> None:
        """A container that is meant to end: a Job's."""
        self._status.set(container["name"], self._status.containers[container["name"]]["state"], ready=True)
        self._status.judge()
        self._status.write()
        if failure is not None and failure.way in (*DIES, Way.ONCE, Way.EXIT, Way.NEVER_READY, Way.LATE):
            await asyncio.sleep(failure.after_seconds)
            self._exit(container, failure)
            return
        await asyncio.sleep(self._times.job)
        self._log(container, "done")
        said = (self._pod["metadata"].get("annotations") or {}).get("practice/message", "")
        state = self._terminated(container, code=0, reason="Completed", message=said)
        self._status.set(container["name"], state)
        self._all_ended("Succeeded")

    def _exit(self, container: Object, failure: Failure) -> None:
        self._last_words(container, failure)
        state = self._terminated(
            container, code=failure.exit_code, reason=_end_reason(failure), message=failure.message
        )
        self._status.set(container["name"], state)
        self._all_ended("Failed")

    def _all_ended(self, phase: str) -> None:
        states = [self._status.containers[name]["state"] for name in self._status.main_names]
        if all("terminated" in state for state in states):
            failed = any(state["terminated"]["exitCode"] for state in states)
            self._status.fields["phase"] = "Failed" if failed else phase
        self._status.judge()
        self._status.write()

    async def _prepare(self, container: Object, failure: Failure | None) -> None:
        """Pull and create; a failure of these keeps the container waiting for ever."""
        if failure is not None and failure.way is Way.WAIT:
            await self._waits_for_ever(container, failure)
        problem = (
            failure.message or _not_found(container["image"]) if failure and failure.way is Way.PULL else ""
        )
        await self._pull(container, problem or self._registry_problem(container["image"]))
        self._tell("Created", f"Created container: {container['name']}", container=container)

    async def _waits_for_ever(self, container: Object, failure: Failure) -> None:
        words = failure.message or TABLE[failure.reason].message
        await asyncio.sleep(min(self._times.pull, 0.5))
        self._status.set(container["name"], {"waiting": {"reason": failure.reason, "message": words}})
        self._status.judge()
        self._status.write()
        while True:
            self._tell("Failed", f"Error: {words}", container=container, warning=True)
            await asyncio.sleep(PULL_BACKOFF_SECONDS * 2)

    def _registry_problem(self, image: str) -> str:
        reference = read_reference(image)
        if reference.host != HOST:
            return ""
        found = self._images.find(reference.repository, reference.digest or reference.tag)
        return "" if found is not None else _not_found(image)

    async def _pull(self, container: Object, problem: str) -> None:
        image = container["image"]
        while problem:
            self._tell("Pulling", f'Pulling image "{image}"', container=container)
            await asyncio.sleep(self._times.pull)
            await self._pull_fails(container, problem)
        if container.get("imagePullPolicy") != "Always" and image in self._present:
            words = f'Container image "{image}" already present on machine'
            self._tell("Pulled", words, container=container)
        else:
            self._tell("Pulling", f'Pulling image "{image}"', container=container)
            await asyncio.sleep(self._times.pull)
            self._present.add(image)
            took = f"{int(self._times.pull * 1000)}ms"
            words = f'Successfully pulled image "{image}" in {took} ({took} including waiting).'
            self._tell("Pulled", words, container=container)
        self._status.containers[container["name"]]["imageID"] = self._image_id(image)

    async def _pull_fails(self, container: Object, problem: str) -> None:
        image = container["image"]
        self._tell("Failed", f'Failed to pull image "{image}": {problem}', container=container, warning=True)
        self._tell("Failed", "Error: ErrImagePull", container=container, warning=True)
        self._status.set(container["name"], {"waiting": {"reason": "ErrImagePull", "message": problem}})
        self._status.judge()
        self._status.write()
        await asyncio.sleep(PULL_ERROR_SECONDS)
        words = f'Back-off pulling image "{image}"'
        self._tell("BackOff", words, container=container)
        self._tell("Failed", "Error: ImagePullBackOff", container=container, warning=True)
        state = {"waiting": {"reason": "ImagePullBackOff", "message": f"{words}: ErrImagePull: {problem}"}}
        self._status.set(container["name"], state)
        self._status.write()
        await asyncio.sleep(PULL_BACKOFF_SECONDS)

    def _image_id(self, image: str) -> str:
        reference = read_reference(image)
        found = self._images.find(reference.repository, reference.digest or reference.tag)
        if reference.host == HOST and found is not None:
            return f"{reference.place}@{found.node_digest}"
        digest = reference.digest or f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"
        return f"{reference.place}@{digest}"

    def _run_begins(self, container: Object) -> None:
        name = container["name"]
        self._logs.begin(self._status.uid, name)
        self._log(container, f"starting {container['image']}")
        self._log(container, "configuration read, listening on port 8080")
        identity = f"practice://{self._status.uid}-{name}-{self._status.restarts(name)}"
        self._status.set(name, {"running": {"startedAt": clock.stamp()}}, started=True, containerID=identity)
        self._tell("Started", f"Started container {name}", container=container)
        self._status.judge()

    async def _dies(self, container: Object, failure: Failure) -> None:
        """A run ends badly: the first restart comes at once, later ones after a back-off."""
        name = container["name"]
        self._last_words(container, failure)
        ended = self._terminated(
            container, code=failure.exit_code, reason=_end_reason(failure), message=failure.message
        )
        self._status.set(name, ended)
        self._status.judge()
        self._status.write()
        restarts = self._status.restarts(name)
        await asyncio.sleep(FIRST_RESTART_SECONDS)
        if restarts:
            pod = f"{self._status.name}_{self._status.namespace}({self._status.uid})"
            words = f"back-off {failure.backoff_seconds:g}s restarting failed container={name} pod={pod}"
            state = {"waiting": {"reason": "CrashLoopBackOff", "message": words}}
            self._status.set(name, state, lastState=ended)
            self._status.write()
            told = f"Back-off restarting failed container {name} in pod {pod}"
            self._tell("BackOff", told, container=container, warning=True)
            await asyncio.sleep(failure.backoff_seconds)
        self._status.set(
            name, {"waiting": {"reason": "ContainerCreating"}}, lastState=ended, restartCount=restarts + 1
        )

    def _terminated(self, container: Object, *, code: int, reason: str, message: str = "") -> Object:
        before = self._status.containers[container["name"]]["state"].get("running", {})
        ended: Object = {"exitCode": code, "reason": reason, "finishedAt": clock.stamp()}
        ended["startedAt"] = before.get("startedAt", ended["finishedAt"])
        if message:
            ended["message"] = message
        return {"terminated": ended}

    async def _probe_fails(self, container: Object) -> None:
        while True:
            await asyncio.sleep(min(self._times.ready, PROBE_SECONDS))
            words = "Readiness probe failed: HTTP probe failed with statuscode: 503"
            self._tell("Unhealthy", words, container=container, warning=True)
            await asyncio.sleep(PROBE_SECONDS)

    def _evict(self, failure: Failure) -> None:
        words = (
            failure.message
            or "The node was low on resource: memory. Threshold quantity: 100Mi, available: 52Ki."
        )
        self._tell("Evicted", words, warning=True)
        for name in self._status.main_names:
            self._status.set(name, {"terminated": {**_now(), "exitCode": 137, "reason": "Error"}})
        self._status.judge()
        self._status.condition("DisruptionTarget", "True", reason="TerminationByKubelet", message=words)
        self._status.write(phase="Failed", reason="Evicted", message=words)

    def _last_words(self, container: Object, failure: Failure) -> None:
        words = failure.message or {
            "OOMKilled": "java.lang.OutOfMemoryError: Java heap space",
        }.get(failure.reason, "fatal: cannot connect to the database: connection refused")
        self._log(container, words)
        self._log(container, f"exit with code {failure.exit_code}")

    def _log(self, container: Object, text: str) -> None:
        self._logs.write(self._status.uid, container["name"], text)

    def _tell(
        self, reason: str, message: str, *, container: Object | None = None, warning: bool = False
    ) -> None:
        pod = self._status.pod or self._pod
        place = ""
        if container is not None:
            group = "initContainers" if container["name"] in self._status.init_names else "containers"
            place = f"spec.{group}{{{container['name']}}}"
        self._events.tell(
            kinds.PODS,
            pod,
            reason=reason,
            message=message,
            component="kubelet",
            warning=warning,
            field_path=place,
            host=pod["spec"].get("nodeName", ""),
        )


def _end_reason(failure: Failure) -> str:
    return "OOMKilled" if failure.reason == "OOMKilled" else "Error"


def _now() -> Object:
    return {"startedAt": clock.stamp(), "finishedAt": clock.stamp()}


def _not_found(image: str) -> str:
    return (
        f'rpc error: code = NotFound desc = failed to pull and unpack image "{image}": '
        f'failed to resolve reference "{image}": {image}: not found: manifest unknown'
    )
