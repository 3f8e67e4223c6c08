"""What containers have written: the present run and the one before."""

from portal.embedded.cluster import clock
from portal.embedded.cluster.errors import bad_request
from portal.embedded.cluster.store import Object

KEPT_LINES = 500


class Logs:
    """Lines by pod and container; they live as long as this process, as a node's do."""

    def __init__(self) -> None:
        self._now: dict[tuple[str, str], list[str]] = {}
        self._before: dict[tuple[str, str], list[str]] = {}

    def begin(self, uid: str, container: str) -> None:
        """A new run begins; the last one becomes the previous."""
        key = (uid, container)
        if key in self._now:
            self._before[key] = self._now[key]
        self._now[key] = []

    def write(self, uid: str, container: str, text: str) -> None:
        lines = self._now.setdefault((uid, container), [])
        lines.append(f"{clock.micro_stamp()} {text}")
        del lines[:-KEPT_LINES]

    def forget(self, uid: str) -> None:
        for held in (self._now, self._before):
            for key in [key for key in held if key[0] == uid]:
                del held[key]

    def read(self, pod: Object, *, container: str, previous: bool, tail: int | None, timestamps: bool) -> str:
        """The log as the API gives it.

        Raises:
            ApiError: 400 for a container that is not there, has not started, or has no previous run.
        """
        name, container = pod["metadata"]["name"], _chosen(pod, container)
        key = (pod["metadata"]["uid"], container)
        if previous and key not in self._before:
            raise bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
        if not previous and key not in self._now:
            raise bad_request(_not_started(pod, container))
        lines = self._before[key] if previous else self._now[key]
        if tail is not None:
            lines = lines[len(lines) - min(tail, len(lines)) :]
        shown = lines if timestamps else [line.partition(" ")[2] for line in lines]
        return "".join(f"{line}\n" for line in shown)


def _chosen(pod: Object, container: str) -> str:
    names = [
        each["name"] for each in [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]
    ]
    main = [each["name"] for each in pod["spec"]["containers"]]
    if container and container not in names:
        raise bad_request(f"container {container} is not valid for pod {pod['metadata']['name']}")
    if not container and len(main) > 1:
        listed = " ".join(main)
        raise bad_request(
            f"a container name must be specified for pod {pod['metadata']['name']}, choose one of: [{listed}]"
        )
    return container or main[0]


def _not_started(pod: Object, container: str) -> str:
    status = pod.get("status", {})
    statuses = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    found: Object = next((each for each in statuses if each["name"] == container), {})
    reason = found.get("state", {}).get("waiting", {}).get("reason", "ContainerCreating")
    because = {
        "ErrImagePull": "image can't be pulled",
        "ImagePullBackOff": "trying and failing to pull image",
    }.get(reason, reason)
    return f'container "{container}" in pod "{pod["metadata"]["name"]}" is waiting to start: {because}'
