"""StoreBridge's canary of Argo Rollouts, by its own plan: out in four steps, and back."""

import copy
from typing import Any

import pytest
import yaml

from releases.rollouts import engine
from releases.rollouts.models import Rollout
from tests.catalog.conftest import EXAMPLES
from tests.cluster.api import Json
from tests.cluster.engine.conftest import Lay
from tests.cluster.engine.test_argo_rollouts import healthy
from tests.cluster.objects import deployment, failing, wait_for
from tests.rollouts.floor import Floor, drive, why
from tests.soak import long

pytestmark = pytest.mark.usefixtures("argo_rollouts")

ENDS = ("failed", "succeeded", "paused", "rolled_back", "rollback_failed")
NAME = "storebridge-web"
FOLDER = EXAMPLES / "storebridge"
# Simulated nodes pull whatever they are told from here.
OLD = "registry.test/storebridge/storebridge:v2.5.1"


def documents(file: str, kind: str, name: str) -> Json:
    found = yaml.safe_load_all((FOLDER / file).read_text())
    return next(each for each in found if (each["kind"], each["metadata"]["name"]) == (kind, name))


def shortened(each: Json) -> Json:
    """The step as the plan has it, with a second for its minutes; simulated pods answer no health check."""
    if each["kind"] != "watch":
        return each
    kept = [gate for gate in each["gates"] if gate["kind"] != "health"]
    rest = {key: value for key, value in each.items() if key != "minutes"}
    return {**rest, "seconds": 1, "everySeconds": 5, "gates": kept}


@pytest.fixture
def storebridge(lay_floor: Lay) -> Floor:
    """The example's Rollout, healthy, and its plan."""
    plan = documents("argo-rollouts.yaml", "Plan", "storebridge-argo")["spec"]
    service = documents("argo-rollouts.yaml", "Service", "storebridge-web-argo")["spec"]
    body = copy.deepcopy(documents("objects.yaml", "Rollout", NAME))
    del body["metadata"]["namespace"]
    pod: dict[str, Any] = body["spec"]["template"]["spec"]["containers"][0]
    for field in ("envFrom", "readinessProbe"):
        del pod[field]
    pod["image"] = OLD
    each = [shortened(step) for step in plan["each"]]
    floor = lay_floor(services=(NAME,), objects={NAME: body}, unsettled=(NAME,), each=each)
    floor.plan.spec["onFailure"] = plan["onFailure"]
    floor.plan.save(update_fields=["spec"])
    row = floor.services[NAME]
    row.spec = {"workloads": service["workloads"]}
    row.save(update_fields=["spec"])
    healthy(floor, NAME)
    return floor


def images(floor: Floor) -> dict[str, int]:
    found = [each["spec"]["containers"][0]["image"] for each in floor.space.pods("storebridge")]
    return {image: found.count(image) for image in found}


def ratios(rollout: Rollout) -> list[tuple[int, int, int]]:
    """The weight that each step came to, with the pods of the new version and of both."""
    steps = rollout.steps.filter(kind__in=("wait_rollout", "promote"), direction="forward")
    seen = [each.observed for each in steps.order_by("position")]
    return [(each["weight"], each["updated"], each["total"]) for each in seen]


@long
def test_it_goes_out_in_its_four_steps_and_back_when_asked(storebridge: Floor) -> None:
    floor = storebridge
    rollout = drive(floor.start("2.6.0"), *ENDS, seconds=90)
    assert rollout.state == "succeeded", why(rollout)
    assert ratios(rollout) == [(10, 1, 10), (20, 2, 10), (50, 5, 10), (100, 10, 10)]
    assert images(floor) == {floor.wanted(NAME, "2.6.0"): 10}
    floor.order(rollout, "rollback")
    assert drive(rollout, *ENDS[3:], seconds=90).state == "rolled_back", why(rollout)
    healthy(floor, NAME)
    assert images(floor) == {OLD: 10}


@long
def test_a_gate_that_is_measured_bad_takes_it_back_by_itself(storebridge: Floor) -> None:
    floor = storebridge
    rollout = floor.start("2.6.0")

    def at_a_fifth() -> bool:
        engine.advance(rollout.pk)
        return rollout.steps.get(key=f"1.{NAME}.to-20").state == "succeeded"

    wait_for(at_a_fifth, what="the second step of the canary", seconds=60)
    floor.space.create(deployment("broken", pod_annotations=failing("NeverReady")))
    wait_for(lambda: floor.space.pods("broken"), what="a pod that is not ready")
    drive(rollout, *ENDS[3:], seconds=90)
    assert rollout.state == "rolled_back", why(rollout)
    watched = rollout.steps.filter(kind="watch", direction="forward", state="failed")
    assert [each.failure["code"] for each in watched if each.failure] == ["gate_breached"]
    assert healthy(floor, NAME)["status"].get("abort") is None
    assert images(floor) == {OLD: 10}
