"""From the first error status of a pod to the event that names the failed step."""

from datetime import datetime

from tests.bench.portal import Portal, running_portal
from tests.bench.rollout import kubectl_lines
from tests.bench.row import Row

ROUNDS = 3
TARGET_SECONDS = 3
BROKEN = {"blog-service": "v1.4.0-broken", "shopping-service": "v1.4.0-withdrawn"}
STATUS = (
    "{.metadata.name},{.status.containerStatuses[*].state.waiting.reason},"
    '{.status.containerStatuses[*].state.terminated.reason}{"\\n"}'
)
BEGINNING = {"", "ContainerCreating", "PodInitializing", "Completed"}


def run() -> list[Row]:
    """Roll out each broken image several times; each attempt is then rolled back."""
    rows = []
    with running_portal() as portal:
        for service, version in BROKEN.items():
            delays = [_delay(portal, service, version) for _round in range(ROUNDS)]
            what = f"{service} {version}: pod's first error to failure event"
            rows.append(Row.of(what, delays, "s", target=TARGET_SECONDS))
    return rows


def _delay(portal: Portal, service: str, version: str) -> float:
    number = portal.approved_release({service: version})
    with kubectl_lines(portal, "get", "pods", "-w", "-o", f"jsonpath={STATUS}") as lines:
        rollout = portal.roll_out(number)
    first = next(at for at, line in lines if _is_error(line, service))
    failure = next(event for event in portal.events(rollout["id"]) if event["kind"] == "step.failed")
    _go_back(portal, rollout["id"])
    return datetime.fromisoformat(failure["at"]).timestamp() - first


def _is_error(line: str, service: str) -> bool:
    name, *reasons = line.split(",")
    return name.startswith(service) and not set(reasons) <= BEGINNING


def _go_back(portal: Portal, rollout: int) -> None:
    portal.call("jiho", "POST", f"/rollouts/{rollout}/rollback", {"reason": "benchmark"})
    portal.wait(rollout, {"rolled_back", "rollback_failed"})
