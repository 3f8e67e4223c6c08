"""Every signal of a bad rollout, let loose on a floor, and how soon the portal tells of each.

The signals, and how long each may stand: protocols.md, A4. Only the portal's own processes carry the rollouts
out; a watch beside them notes what the cluster says, and both are compared afterwards. All rows stand
beside one another, as some do for a minute.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from portal.live.models import Event
from releases.rollouts.models import Rollout
from tests.cluster.api import Api, Json, from_kubeconfig
from tests.cluster.conftest import USES_CONTROL_PLANE
from tests.cluster.controlplane import nodes
from tests.cluster.objects import Space, condition, deployment, failing, wait_for
from tests.rollouts.floor import Floor

LONGEST_SECONDS = 100
WATCHED = ("pods", "events", "replicasets", "deployments")
BARE = ({"kind": "set_image"}, {"kind": "wait_rollout", "timeoutSeconds": 600})

Sign = Callable[[str, Json], bool]
# When it was seen, of which kind, and the object.
Sight = tuple[float, str, Json]
# When it was told, as which kind of event, and of what.
Report = tuple[float, str, Json]


def waiting(*reasons: str) -> Sign:
    """A container waits for one of the reasons."""

    def holds(plural: str, body: Json) -> bool:
        found = {(each["state"].get("waiting") or {}).get("reason") for each in _containers(plural, body)}
        return bool(found & set(reasons))

    return holds


def restarted(times: int) -> Sign:
    """A container has ended badly, and was started again so often."""

    def holds(plural: str, body: Json) -> bool:
        return any(
            each["restartCount"] >= times and (each.get("lastState") or {}).get("terminated")
            for each in _containers(plural, body)
        )

    return holds


def died(times: int) -> Sign:
    """A container has ended so often, the end that it was not restarted after included."""

    def holds(plural: str, body: Json) -> bool:
        return any(_deaths(each) >= times for each in _containers(plural, body))

    return holds


def told(reason: str) -> Sign:
    """An event about a pod gives the reason."""
    return lambda plural, body: plural == "events" and body.get("reason") == reason


def conditioned(plural: str, name: str, reason: str) -> Sign:
    """A condition of an object of the kind has the reason."""
    return lambda kind, body: (
        kind == plural and condition(body, name).get("reason") == reason if "status" in body else False
    )


def evicted(plural: str, body: Json) -> bool:
    """A pod was thrown off its node."""
    return plural == "pods" and body["status"].get("reason") == "Evicted"


def _deaths(status: Json) -> int:
    ends = [status["state"], status.get("lastState") or {}]
    waits = "running" not in status["state"] and any("terminated" in each for each in ends)
    return int(status["restartCount"]) + waits


def _containers(plural: str, body: Json) -> list[Json]:
    return list(body["status"].get("containerStatuses") or []) if plural == "pods" else []


@dataclass(frozen=True, kw_only=True)
class Row:
    """One signal.

    Attributes:
        code: what the portal calls it.
        sign: the first status that shows it.
        past_help: the status after which nothing heals by itself, where that is another one.
        pods: the number of them that show `past_help`.
        patience: seconds for which it may stand; None where it ends nothing before the step's time.
        image_fails: how the new image fails on the nodes; else `made` makes a Deployment that fails.
        made: more of the Deployment.
    """

    code: str
    sign: Sign
    past_help: Sign | None = None
    pods: int = 1
    patience: float | None = 0.0
    image_fails: str = ""
    made: Mapping[str, Any] = field(default_factory=dict)


def _waits(reason: str, *, patience: float = 0.0, code: str = "") -> Row:
    return Row(code=code or reason, sign=waiting(reason), patience=patience, image_fails=reason)


SLOW_PULL = failing("ErrImagePull", message="dial tcp: i/o timeout")
ROWS = {
    "name": _waits("InvalidImageName"),
    "never": _waits("ErrImageNeverPull"),
    "gone": _waits("ErrImagePull"),
    "pull": Row(
        code="ErrImagePull",
        sign=waiting("ErrImagePull"),
        past_help=waiting("ImagePullBackOff"),
        made={"pod_annotations": SLOW_PULL},
    ),
    "inspect": _waits("ImageInspectError", patience=60),
    "registry": _waits("RegistryUnavailable", patience=60),
    "config": _waits("CreateContainerConfigError", patience=15),
    "create": _waits("CreateContainerError", patience=20),
    "run": _waits("RunContainerError", patience=20),
    "precreate": _waits("PreCreateHookError", patience=20),
    "prestart": _waits("PreStartHookError", patience=20),
    "poststart": _waits("PostStartHookError", patience=20),
    "sandbox": Row(
        code="CreatePodSandboxError",
        sign=told("FailedCreatePodSandBox"),
        patience=60,
        image_fails="Sandbox",
    ),
    "crash": Row(
        code="CrashLoopBackOff",
        sign=restarted(1),
        past_help=restarted(2),
        image_fails="CrashLoopBackOff",
    ),
    "memory": Row(code="OOMKilled", sign=died(1), past_help=died(2), image_fails="OOMKilled"),
    "node": Row(
        code="Unschedulable",
        sign=conditioned("pods", "PodScheduled", "Unschedulable"),
        patience=60,
        made={"pod_spec": {"nodeSelector": {"disk": "none-has-it"}}},
    ),
    "refused": Row(
        code="FailedCreate",
        sign=conditioned("replicasets", "ReplicaFailure", "FailedCreate"),
        patience=10,
        made={"pod_spec": {"serviceAccountName": "nobody"}},
    ),
    "probe": Row(code="Unhealthy", sign=told("Unhealthy"), patience=None, image_fails="NeverReady"),
    # It is ready at first: only a pod that must stay so for a while is not done by then.
    "evicted": Row(code="Evicted", sign=evicted, pods=2, image_fails="Evicted", made={"minReadySeconds": 60}),
    "stuck": Row(
        code="ProgressDeadlineExceeded",
        sign=conditioned("deployments", "Progressing", "ProgressDeadlineExceeded"),
        image_fails="LateReady",
        made={"progressDeadlineSeconds": 5},
    ),
}
if not USES_CONTROL_PLANE:  # simulated nodes mount nothing
    ROWS["mount"] = Row(
        code="FailedMount",
        sign=told("FailedMount"),
        patience=60,
        made={"pod_spec": {"volumes": [{"name": "config", "configMap": {"name": "nowhere"}}]}},
    )


def _of(sights: list[Sight], floor: Floor, name: str) -> list[Sight]:
    """All sights of a service's new template, its Deployment included."""
    wanted = floor.wanted(name, "2.0.0")
    pods = {
        body["metadata"]["name"]
        for _, plural, body in sights
        if plural == "pods" and _image(body["spec"]) == wanted
    }
    return [each for each in sights if _is_of(each[1], each[2], name=name, wanted=wanted, pods=pods)]


def _is_of(plural: str, body: Json, *, name: str, wanted: str, pods: set[str]) -> bool:
    if plural == "pods":
        return body["metadata"]["name"] in pods
    if plural == "events":
        return body["involvedObject"]["name"] in pods
    called = body["metadata"]["name"]
    is_its = called == name if plural == "deployments" else called.startswith(f"{name}-")
    return is_its and _image(body["spec"]["template"]["spec"]) == wanted


def _image(spec: Json) -> str:
    return str(spec["containers"][0]["image"])


@contextlib.contextmanager
def watching(kubeconfig: Path, space: Space) -> Iterator[list[Sight]]:
    """Note each change in the namespace, from the start of the block to its end."""
    sights: list[Sight] = []
    apis = []

    def watch(api: Api, plural: str) -> None:
        with contextlib.suppress(urllib3.exceptions.HTTPError, AttributeError, ValueError):
            for change in api.watch(space.path(plural), seconds=LONGEST_SECONDS * 2):
                sights.append((time.time(), plural, change["object"]))

    for plural in WATCHED:
        api = from_kubeconfig(kubeconfig)
        assert api is not None
        apis.append(api)
        threading.Thread(target=watch, args=(api, plural), daemon=True).start()
    try:
        yield sights
    finally:
        for api in apis:
            api.close()


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the portal told of a row, and when.

    Attributes:
        told: seconds from the first status that shows it to the first report; None where there was none.
        words: of that report.
        are_the_clusters: whether the cluster said these words.
        code: what the step failed with; empty where it did not.
        after: seconds from the end of the row's patience to that.
    """

    told: float | None = None
    words: str = ""
    are_the_clusters: bool = False
    code: str = ""
    after: float | None = None


def measure_all(admin: Api, kubeconfig: Path, floor: Floor) -> dict[str, Measured]:
    """Roll out a bad version of every service, and measure each by its row.

    Args:
        admin: may make nodes fail.
        kubeconfig: by which the watch reads.
    """
    with bad_images(admin, floor), watching(kubeconfig, floor.space) as sights:
        rollouts = {name: _started(floor, name) for name in sorted(ROWS, key=_soonest_last)}
        wait_until_over(rollouts)
    return {
        name: _measured(row, _of(sights, floor, name), reports(rollouts[name])) for name, row in ROWS.items()
    }


def lay_all(lay_floor: Callable[..., Floor]) -> Floor:
    """A floor with a service for each row; those whose image fails run well until it comes."""
    objects = {
        name: deployment(name, image=f"registry.test/floor/{name}:1.0.0", **row.made)
        for name, row in ROWS.items()
    }
    unsettled = [name for name, row in ROWS.items() if not row.image_fails or "minReadySeconds" in row.made]
    floor = lay_floor(services=tuple(ROWS), objects=objects, unsettled=unsettled, each=BARE)
    for name, row in ROWS.items():
        if row.image_fails:
            floor.services[name].image = f"registry.test/fail-{row.image_fails.lower()}/{name}"
            floor.services[name].save(update_fields=["image"])
    return floor


@contextlib.contextmanager
def bad_images(admin: Api, floor: Floor) -> Iterator[None]:
    """Let the new images fail: the practice cluster goes by their names, a real one marks their pods."""
    with contextlib.ExitStack() as stack:
        if USES_CONTROL_PLANE:
            for name, row in ROWS.items():
                if row.image_fails:
                    marked = nodes.marked(admin, row.image_fails, [floor.wanted(name, "2.0.0")])
                    stack.enter_context(marked)
        yield


def wait_until_over(rollouts: Mapping[str, Rollout]) -> None:
    """Wait until all have ended that end before their step's time."""
    ending = [rollouts[name].pk for name, row in ROWS.items() if row.patience is not None]
    deadline = time.monotonic() + LONGEST_SECONDS
    while Rollout.objects.filter(pk__in=ending, state="running").exists() and time.monotonic() < deadline:
        time.sleep(0.5)


def reports(rollout: Rollout) -> list[Report]:
    """When the rollout's stream told of a trouble, as which kind of event, and of what."""
    found = []
    for event in Event.objects.filter(topic=rollout.topic).order_by("number"):
        trouble = event.data.get("failure") or (event.data.get("observed") or {}).get("trouble")
        if trouble and event.kind in {"step.observed", "step.failed"}:
            found.append((event.at.timestamp(), event.kind, trouble))
    return found


def _soonest_last(name: str) -> float:
    patience = ROWS[name].patience
    return -LONGEST_SECONDS if patience is None else -patience


def _started(floor: Floor, name: str) -> Rollout:
    """Start a rollout and let it write first: what is measured is how soon it hears, not how many start."""
    rollout = floor.start("2.0.0", services=[name])
    waits = rollout.steps.filter(kind="wait_rollout").exclude(state="waiting")
    wait_for(waits.exists, what=f"the wait for {name}")
    return rollout


def _measured(row: Row, sights: list[Sight], told_of: list[Report]) -> Measured:
    first = _time_of(sights, row.sign, pods=1)
    past_help = _time_of(sights, row.past_help or row.sign, pods=row.pods)
    named = next((each for each in told_of if each[2]["code"] == row.code), None)
    end = next((each for each in told_of if each[1] == "step.failed"), None)
    words = str(named[2]["message"]) if named else ""
    return Measured(
        told=named[0] - first if named and first else None,
        words=words,
        are_the_clusters=bool(words) and any(words in each for each in _texts(sights)),
        code=end[2]["code"] if end else "",
        after=end[0] - past_help - (row.patience or 0.0) if end and past_help else None,
    )


def _time_of(sights: list[Sight], sign: Sign, *, pods: int) -> float | None:
    """When the sign was first seen of so many objects."""
    shown: set[str] = set()
    for at, plural, body in sights:
        if sign(plural, body):
            shown.add(body["metadata"]["uid"])
            if len(shown) >= pods:
                return at
    return None


def _texts(sights: list[Sight]) -> set[str]:
    """All that the objects said."""
    found: set[str] = set()

    def gather(part: object) -> None:
        if isinstance(part, dict):
            found.update(str(part[key]) for key in ("message", "reason") if part.get(key))
            for each in part.values():
                gather(each)
        elif isinstance(part, list):
            for each in part:
                gather(each)

    for _, _, body in sights:
        gather(body)
    return found
