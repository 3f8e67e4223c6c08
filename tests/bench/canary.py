"""A canary of 10, 20, 50 and 100 percent of ten pods without pauses: the portal's own beside Argo Rollouts'.

The portal's once with two colours that take turns, which start ten pods as Argo Rollouts does, and once with
a canary that hands over to the stable workload, which starts more. That is from the start to the end, with
what is asked before the first change and verified after the last pod; Argo Rollouts does neither, so the time
from the first change to the end of the last one stands beside it.

With PORTAL_TEST_CLUSTER=real on a real control plane with the real controller, in one run; that needs Go.
Else on the practice cluster, where the other side is a stand-in and nothing is decided.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.database import with_database
from tests.bench.row import Row

REAL = os.environ.get("PORTAL_TEST_CLUSTER") == "real"
ROUNDS = 3
SHARES = (10, 20, 50, 100)
PODS = 10
OLD = "registry.test/floor/api:1.0.0"
ROLES = ("worker", "worker", "sweeper", "watcher")
LONGEST_SECONDS = 120
ENDS = {"succeeded", "failed", "paused", "stopped", "rolled_back", "rollback_failed"}
IMAGE = "/spec/template/spec/containers/0/image"


def run() -> list[Row]:
    """Measure with a database and a cluster of its own."""
    return with_database(_measure)


def _measure() -> list[Row]:
    from tests.cluster.objects import namespace  # noqa: PLC0415  needs settings
    from tests.rollouts.processes import processes  # noqa: PLC0415

    with _cluster() as (admin, kubeconfig), namespace(admin) as space, processes() as roles:
        floor = _lay(space, kubeconfig)
        for role in ROLES:
            roles.start(role)
        turns, cores, handed, theirs = [], [], [], []
        for number in range(ROUNDS + 1):
            turns.append(_portal(floor, "web", f"2.0.{number}"))
            cores.append(_core_of(floor))
            theirs.append(_argo(space, f"registry.test/floor/argo:2.0.{number}"))
            handed.append(_portal(floor, "api", f"2.0.{number}"))
    # The first round warms all up.
    turns, cores, handed, theirs = turns[1:], cores[1:], handed[1:], theirs[1:]
    where = "real controller" if REAL else "practice cluster"
    return [
        Row.of(f"canary of {PODS} pods by the portal, two that take turns", turns, "s"),
        Row.of(f"the same by Argo Rollouts ({where})", theirs, "s"),
        Row("portal / Argo Rollouts", median(turns) / median(theirs), "ratio", 1.0 if REAL else None),
        Row.of("of it from the first change to the last pod", cores, "s"),
        Row("the same / Argo Rollouts", median(cores) / median(theirs), "ratio"),
        Row.of(f"canary of {PODS} pods by the portal that hands over", handed, "s"),
        Row("the same / Argo Rollouts", median(handed) / median(theirs), "ratio"),
    ]


@contextmanager
def _cluster() -> Iterator[tuple[Any, Path]]:
    """The API as administrator, and a kubeconfig."""
    from tests.cluster import conftest  # noqa: PLC0415  needs settings
    from tests.cluster.api import from_kubeconfig  # noqa: PLC0415
    from tests.cluster.argo_rollouts import controller  # noqa: PLC0415
    from tests.cluster.controlplane.start import ControlPlane  # noqa: PLC0415

    with ExitStack() as stack:
        if REAL:
            path = stack.enter_context(ControlPlane()).kubeconfig
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            path = stack.enter_context(conftest.practice_cluster(Path(folder)))
        admin = from_kubeconfig(path)
        assert admin is not None
        stack.callback(admin.close)
        if REAL:
            stack.enter_context(controller.running(admin, path))
        yield admin, path


def _lay(space: Any, kubeconfig: Path) -> Any:
    """A service with a canary at rest, one whose two colours take turns, and a Rollout beside them."""
    from tests.cluster.objects import argo_rollout, deployment  # noqa: PLC0415  needs settings
    from tests.rollouts.floor import lay  # noqa: PLC0415

    sizes = {"api": PODS, "web": 0}
    objects = {name: deployment(name, image=OLD, replicas=size) for name, size in sizes.items()}
    floor = lay(space, kubeconfig, services=tuple(sizes), objects=objects)
    for name, size in {"api-canary": 0, "web-blue": PODS, "web-green": 0}.items():
        space.create(deployment(name, image=OLD, replicas=size))
        space.settle(name)
    colours = [{"kind": "Deployment", "name": f"web-{each}", "colour": each} for each in ("blue", "green")]
    specs = {
        "api": {"canary": {"stable": "api", "canary": "api-canary"}},
        "web": {"workloads": colours, "colours": {"by": "pods"}},
    }
    for name, spec in specs.items():
        floor.services[name].spec |= spec
        floor.services[name].save(update_fields=["spec"])
    floor.plan.spec["canary"] = {"by": "pods", "steps": list(SHARES)}
    floor.plan.save(update_fields=["spec"])
    steps = [{"setWeight": share} for share in SHARES]
    strategy = {"canary": {"steps": steps}}
    space.create(argo_rollout("argo", image=OLD, replicas=PODS, strategy=strategy))
    _wait_healthy(space)
    return floor


def _portal(floor: Any, service: str, version: str) -> float:
    """Seconds from the start to the end of a rollout whose canary nobody watches."""
    rollout = floor.start(version, services=(service,))
    deadline = time.monotonic() + LONGEST_SECONDS
    while rollout.state not in ENDS and time.monotonic() < deadline:
        time.sleep(0.1)
        rollout.refresh_from_db()
    assert rollout.state == "succeeded", (rollout.state, rollout.pause)
    return float((rollout.ended_at - rollout.started_at).total_seconds())


def _core_of(floor: Any) -> float:
    """Seconds from the first change to the end of the last one, of the newest rollout."""
    newest = floor.environment.rollouts.latest("pk")
    changes = newest.steps.exclude(intent=None)
    first = min(datetime.fromisoformat(each.intent["at"]) for each in changes)
    return float((max(each.ended_at for each in changes) - first).total_seconds())


def _argo(space: Any, image: str) -> float:
    """Seconds from the change of the image until the controller calls the Rollout healthy again."""
    begun = time.monotonic()
    space.patch("rollouts", "argo", [{"op": "replace", "path": IMAGE, "value": image}], kind="json")
    _wait_healthy(space)
    return time.monotonic() - begun


def _wait_healthy(space: Any) -> None:
    def holds(seen: dict[str, Any]) -> bool:
        status, generation = seen.get("status") or {}, str(seen["metadata"]["generation"])
        whole = status.get("updatedReplicas") == status.get("availableReplicas") == PODS
        return bool(status.get("phase") == "Healthy" and status["observedGeneration"] == generation and whole)

    space.wait("rollouts", "argo", holds, seconds=LONGEST_SECONDS)
