"""From the first error status of a pod to the event that names the failed step."""

from datetime import datetime
from typing import Any

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
