"""The status of one pod as its kubelet keeps it, written to the store at each step."""

from typing import Any

from portal.embedded.cluster import clock, kinds
from portal.embedded.cluster.store import Object, Store

WAITS = {"waiting": {"reason": "ContainerCreating"}}
INITIALIZING = {"waiting": {"reason": "PodInitializing"}}


class PodStatus:
    def __init__(self, store: Store, pod: Object) -> None:
        self._store = store
        metadata, status = pod["metadata"], pod.get("status") or {}
        self.namespace, self.name, self.uid = metadata["namespace"], metadata["name"], metadata["uid"]
        self.init_names = [each["name"] for each in pod["spec"].get("initContainers") or []]
        self.main_names = [each["name"] for each in pod["spec"]["containers"]]
        self.fields: Object = {
            key: value
            for key, value in status.items()
            if key not in ("conditions", "containerStatuses", "initContainerStatuses")
        }
        self.conditions: list[Object] = list(status.get("conditions") or [])
        known = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        self.containers: dict[str, Object] = {each["name"]: each for each in known}
        waits = INITIALIZING if self.init_names else WAITS
        for each in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
            self.containers.setdefault(
                each["name"],
                _fresh(
                    each, INITIALIZING if each in pod["spec"]["containers"] and self.init_names else waits
                ),
            )

    @property
    def pod(self) -> Object | None:
        """The pod as it is in the store; None when it is gone or another has its name."""
        found = self._store.get(kinds.PODS, self.namespace, self.name)
        return found if found is not None and found["metadata"]["uid"] == self.uid else None

    def restarts(self, container: str) -> int:
        count: int = self.containers[container]["restartCount"]
        return count

    def set(self, container: str, state: Object, *, ready: bool = False, **more: Any) -> None:
        """Give a container a state; `more` are other fields of its status."""
        before = self.containers[container]
        started = ready or ("running" in state and before.get("started", False)) or more.pop("started", False)
        self.containers[container] = {**before, "state": state, "ready": ready, "started": started, **more}

    def condition(self, name: str, status: str, *, reason: str = "", message: str = "") -> None:
        old = next((each for each in self.conditions if each["type"] == name), None)
        since = old["lastTransitionTime"] if old and old["status"] == status else clock.stamp()
        new: Object = {"type": name, "status": status, "lastProbeTime": None, "lastTransitionTime": since}
        new |= {"reason": reason} if reason else {}
        new |= {"message": message} if message else {}
        if name != "DisruptionTarget" and self.pod is not None:
            new["observedGeneration"] = self.pod["metadata"].get("generation", 1)
        self.conditions = [*(each for each in self.conditions if each["type"] != name), new]

    def judge(self) -> None:
        """Set Initialized, ContainersReady and Ready by the containers' states."""
        unfinished = [name for name in self.init_names if not self.containers[name]["ready"]]
        if unfinished:
            words = f"containers with incomplete status: [{' '.join(unfinished)}]"
            self.condition("Initialized", "False", reason="ContainersNotInitialized", message=words)
        else:
            self.condition("Initialized", "True")
        unready = [name for name in self.main_names if not self.containers[name]["ready"]]
        for name in ("Ready", "ContainersReady"):
            if unready:
                words = f"containers with unready status: [{' '.join(unready)}]"
                self.condition(name, "False", reason="ContainersNotReady", message=words)
            else:
                self.condition(name, "True")

    def write(self, **fields: Any) -> bool:
        """Put the status into the store; says whether the pod is still there."""
        self.fields |= fields
        pod = self.pod
        if pod is None:
            return False
        status = {**self.fields, "conditions": list(self.conditions)}
        status["containerStatuses"] = [self.containers[name] for name in self.main_names]
        if self.init_names:
            status["initContainerStatuses"] = [self.containers[name] for name in self.init_names]
        status["observedGeneration"] = pod["metadata"].get("generation", 1)
        self._store.update(kinds.PODS, {**pod, "status": status})
        return True


def _fresh(container: Object, state: Object) -> Object:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": False,
        "started": False,
        "restartCount": 0,
        "state": state,
        "lastState": {},
    }
