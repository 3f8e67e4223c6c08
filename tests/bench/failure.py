"""From the first error status of a pod to the event that names the failed step.

Once as people meet it, with images of the demo that are broken; once for every signal, beside one another.
"""

import tempfile
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.database import with_database
from tests.bench.kubectl import kubectl_lines
from tests.bench.portal import SYSTEM, Portal, running_portal
from tests.bench.row import Row

ROUNDS = 3
TARGET_SECONDS = 3
BROKEN = {"blog-service": "v1.4.0-broken", "shopping-service": "v1.4.0-withdrawn"}
STATUS = (
    "{.metadata.name},{.status.containerStatuses[*].restartCount},"
    "{.status.containerStatuses[*].state.waiting.reason},"
    '{.status.containerStatuses[*].state.terminated.reason}{"\\n"}'
)
BEGINNING = {"", "ContainerCreating", "PodInitializing"}
ENDED_WELL = {"", "Completed"}


# A pod that died once may come up the next time: deaths count as an error from the second restart on.
FIRST_RESTARTS = 2


def run() -> list[Row]:
    """Measure both."""
    return [*_broken_images(), *with_database(_signals)]


def _signals() -> list[Row]:
    """Let each signal loose on a floor of its own cluster, and take the slowest answers."""
    from tests.cluster import conftest, signals  # noqa: PLC0415  needs settings
    from tests.cluster.api import from_kubeconfig  # noqa: PLC0415
    from tests.cluster.objects import namespace  # noqa: PLC0415
    from tests.rollouts.floor import lay  # noqa: PLC0415
    from tests.rollouts.processes import processes  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder, conftest.practice_cluster(Path(folder)) as kubeconfig:
        admin = from_kubeconfig(kubeconfig)
        assert admin is not None
        with namespace(admin) as space, processes() as roles:
            for role in ("worker", "watcher", "sweeper"):
                roles.start(role)
            floor = signals.lay_all(partial(lay, space, kubeconfig))
            found = signals.measure_all(admin, kubeconfig, floor)
        admin.close()
    told = [each.told for each in found.values() if each.told is not None]
    ended = [each.after for each in found.values() if each.after is not None]
    assert len(told) == len(found), found
    name = f"{len(found)} signals beside one another"
    return [
        Row.of(f"{name}: first status to first report", told, "s"),
        Row("the slowest of them", max(told), "s", target=TARGET_SECONDS),
        Row.of(f"{name}: end of patience to failure event", ended, "s"),
        Row("the slowest of them", max(ended), "s", target=TARGET_SECONDS),
    ]


def _broken_images() -> list[Row]:
    """Roll out each broken image several times; each attempt is then rolled back."""
    rows = []
    with running_portal() as portal:
        for service, version in BROKEN.items():
            delays = [_delays(portal, service, version) for _round in range(ROUNDS)]
            told, failed = [each[0] for each in delays], [each[1] for each in delays]
            name = f"{service} {version}"
            rows += [
                Row.of(f"{name}: first error status to first report", told, "s", target=TARGET_SECONDS),
                Row.of(f"{name}: error past hope to failure event", failed, "s", target=TARGET_SECONDS),
            ]
    return rows


def _delays(portal: Portal, service: str, version: str) -> tuple[float, float]:
    """Seconds from the first error to the first event after it, and from the final one to the failure."""
    number = portal.approved_release({service: version})
    with kubectl_lines(portal, SYSTEM, "get", "pods", "-w", "-o", f"jsonpath={STATUS}") as lines:
        rollout = portal.roll_out(number)
    first = next(at for at, line in lines if _is_error(line, service))
    final = next(at for at, line in lines if _is_error(line, service, after_restarts=FIRST_RESTARTS))
    events = [(_at(event), event["kind"]) for event in portal.events(rollout["id"])]
    _go_back(portal, rollout["id"])
    told = next(at for at, kind in events if at >= first and kind in {"step.observed", "step.failed"})
    return told - first, next(at for at, kind in events if kind == "step.failed") - final


def _at(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["at"]).timestamp()


def _is_error(line: str, service: str, *, after_restarts: int = 0) -> bool:
    """Whether the pod is in error; deaths count from a number of restarts on, and then while it runs too."""
    name, restarts, waiting, ended = line.split(",")
    if not name.startswith(service):
        return False
    died = waiting == "CrashLoopBackOff" or ended not in ENDED_WELL
    if after_restarts and int(restarts or 0) >= after_restarts:
        return True
    return (died and not after_restarts) or (not died and waiting not in BEGINNING)


def _go_back(portal: Portal, rollout: int) -> None:
    portal.call("jiho", "POST", f"/rollouts/{rollout}/rollback", {"reason": "benchmark"})
    portal.wait(rollout, {"rolled_back", "rollback_failed"})
