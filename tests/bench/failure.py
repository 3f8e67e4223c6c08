"""From the first error status of a pod to the event that names the failed step."""

from datetime import datetime

from tests.bench.portal import Portal, running_portal
from tests.bench.rollout import kubectl_lines
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
            name = f"{service} {version}"
            rows += [
                Row.of(
                    f"{name}: first error status to event", [d[0] for d in delays], "s", target=TARGET_SECONDS
                ),
                Row.of(f"{name}: first death or error to event", [d[1] for d in delays], "s"),
            ]
    return rows


def _delays(portal: Portal, service: str, version: str) -> tuple[float, float]:
    number = portal.approved_release({service: version})
    with kubectl_lines(portal, "get", "pods", "-w", "-o", f"jsonpath={STATUS}") as lines:
        rollout = portal.roll_out(number)
    failure = next(event for event in portal.events(rollout["id"]) if event["kind"] == "step.failed")
    _go_back(portal, rollout["id"])
    failed_at = datetime.fromisoformat(failure["at"]).timestamp()
    firsts = [
        next(at for at, line in lines if _is_error(line, service, lasting=each)) for each in (True, False)
    ]
    return failed_at - firsts[0], failed_at - firsts[1]


def _is_error(line: str, service: str, *, lasting: bool) -> bool:
    """Whether the pod is in error; `lasting` leaves out deaths that may still be overcome."""
    name, restarts, waiting, ended = line.split(",")
    if not name.startswith(service):
        return False
    died = waiting == "CrashLoopBackOff" or ended not in ENDED_WELL
    if died:
        return not lasting or int(restarts or 0) >= FIRST_RESTARTS
    return waiting not in BEGINNING


def _go_back(portal: Portal, rollout: int) -> None:
    portal.call("jiho", "POST", f"/rollouts/{rollout}/rollback", {"reason": "benchmark"})
    portal.wait(rollout, {"rolled_back", "rollback_failed"})
