"""In which ways a pod fails on purpose, and how an image or an annotation asks for it."""

import re
from dataclasses import dataclass
from enum import Enum

from portal.embedded.cluster.images import HOST, Images, read_reference
from portal.embedded.cluster.store import Object


class Way(Enum):
    """What a failing container does."""

    WAIT = "waits for ever with its reason"
    PULL = "cannot be pulled: error and back-off by turns"
    SANDBOX = "never leaves ContainerCreating"
    CRASH = "runs, dies, runs again; never ready"
    FLAP = "becomes ready in each run and dies"
    ONCE = "dies in its first run, becomes ready in the second"
    NEVER_READY = "runs, its probe fails"
    LATE = "becomes ready late"
    EVICT = "is ready, then the node throws it out"
    EXIT = "ends with an error and stays ended"


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table: the way, the usual words, and how long a run takes (seconds)."""

    way: Way
    message: str = ""
    after_seconds: float = 0.0


TABLE: dict[str, Kind] = {
    "InvalidImageName": Kind(
        Way.WAIT, "Failed to apply default image tag: couldn't parse image name: invalid reference format"
    ),
    "ErrImageNeverPull": Kind(Way.WAIT, "Container image is not present with pull policy of Never"),
    "ImageInspectError": Kind(Way.WAIT, "Failed to inspect image: rpc error: code = Unknown"),
    "RegistryUnavailable": Kind(Way.WAIT, "registry is unavailable: connection refused"),
    "CreateContainerConfigError": Kind(Way.WAIT, 'secret "app-config" not found'),
    "CreateContainerError": Kind(Way.WAIT, "context deadline exceeded"),
    "RunContainerError": Kind(
        Way.WAIT, 'failed to start container: exec: "run": executable file not found in $PATH'
    ),
    "PreCreateHookError": Kind(Way.WAIT, "PreCreateHookError"),
    "PreStartHookError": Kind(Way.WAIT, "PreStartHookError"),
    "PostStartHookError": Kind(Way.WAIT, "PostStartHookError"),
    "ErrImagePull": Kind(Way.PULL),
    "Sandbox": Kind(Way.SANDBOX),
    "CrashLoopBackOff": Kind(Way.CRASH, after_seconds=1),
    "OOMKilled": Kind(Way.CRASH, after_seconds=1),
    "CrashAfterReady": Kind(Way.FLAP, after_seconds=5),
    "CrashOnce": Kind(Way.ONCE, after_seconds=1),
    "NeverReady": Kind(Way.NEVER_READY),
    "LateReady": Kind(Way.LATE, after_seconds=10),
    "Evicted": Kind(Way.EVICT, after_seconds=3),
    "Exit": Kind(Way.EXIT, after_seconds=3),
}
BY_LOWER_CASE = {name.lower(): name for name in TABLE} | {
    "imagepullbackoff": "ErrImagePull",
    "createpodsandboxerror": "Sandbox",
    "failedcreatepodsandbox": "Sandbox",
}
IN_IMAGE = re.compile(r"fail-([a-z]+)")
BACKOFF_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Failure:
    """How one container of one pod fails."""

    reason: str
    way: Way
    message: str
    after_seconds: float
    backoff_seconds: float
    exit_code: int


def seconds(text: str) -> float:
    """A duration such as `300ms`, `7s` or `1m`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text.strip())
    if found is None:
        return 0.0
    return float(found[1]) * {"ms": 0.001, "m": 60, "h": 3600}.get(found[2] or "s", 1)


def is_chosen(uid: str, percent: str) -> bool:
    """Whether a pod is in the share that fails: fixed by its uid, as the test cluster's stages do."""
    value = 0
    for letter in uid:
        value = (value * 31 + ord(letter)) % 10007
    return value % 100 < (int(percent) if percent.isdigit() else 100)


def failure_of(pod: Object, container: Object, *, is_init: bool, images: Images) -> Failure | None:
    """How a container is to fail: by the pod's annotations, its image's name, or its image's labels."""
    marks = pod["metadata"].get("annotations") or {}
    asked = marks.get("practice/fail")
    wanted = marks.get("practice/container")
    concerned = container["name"] == wanted if wanted else not is_init
    if asked and concerned and is_chosen(pod["metadata"]["uid"], marks.get("practice/percent", "100")):
        return _failure(asked, marks)
    found = IN_IMAGE.search(container.get("image", "").lower())
    if found is not None:
        for length in range(len(found[1]), 0, -1):
            name = BY_LOWER_CASE.get(found[1][:length])
            if name:
                return _failure(name, marks)
    return _by_label(pod, container, images)


def _by_label(pod: Object, container: Object, images: Images) -> Failure | None:
    reference = read_reference(container.get("image", ""))
    if reference.host != HOST:
        return None
    image = images.find(reference.repository, reference.digest or reference.tag)
    if image is None or "practice/fail" not in image.labels:
        return None
    if not is_chosen(pod["metadata"]["uid"], image.labels.get("practice/percent", "100")):
        return None
    return _failure(image.labels["practice/fail"], image.labels)


def _failure(name: str, marks: dict[str, str]) -> Failure | None:
    name = BY_LOWER_CASE.get(name.lower(), name)
    kind = TABLE.get(name)
    if kind is None:
        return None
    code = 137 if name == "OOMKilled" else int(marks.get("practice/exit-code", "1"))
    after = marks.get("practice/after")
    backoff = marks.get("practice/backoff")
    return Failure(
        reason=name,
        way=kind.way,
        message=marks.get("practice/message", ""),
        after_seconds=seconds(after) if after else kind.after_seconds,
        backoff_seconds=seconds(backoff) if backoff else BACKOFF_SECONDS,
        exit_code=code,
    )
