"""Canaries of Argo Rollouts, carried by the portal: promoted pause by pause, taken back, and found again."""

import signal
import time
from collections.abc import Callable

import pytest
from django.utils import translation

from portal import jobs
from releases.rollouts import engine, plans
from releases.rollouts.models import Order, Rollout
from tests.cluster.api import Json
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import argo_rollout, deployment, wait_for
from tests.embedded.processes import wait_for as waited
from tests.rollouts.floor import Floor, drive, kinds, until, why
from tests.rollouts.processes import processes
from tests.soak import long

pytestmark = pytest.mark.usefixtures("argo_rollouts")

ENDS = ("failed", "succeeded", "paused")
BACK = ("rolled_back", "rollback_failed", "paused")
STEPS: list[Json] = [{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]
OLD = "registry.test/floor/api:1.0.0"
EACH: tuple[Json, ...] = (
    {"kind": "set_image"},
    {"kind": "wait_rollout", "timeoutSeconds": 60, "settleSeconds": 0},
    {"kind": "promote", "timeoutSeconds": 60, "settleSeconds": 0},
    {"kind": "promote", "timeoutSeconds": 60, "settleSeconds": 0},
)


@pytest.fixture
def lay_canary(lay_floor: Lay) -> Callable[..., Floor]:
    """Lays a floor whose one service is a healthy Rollout with pauses at 20 and 50 percent."""

    def make(*, each: tuple[Json, ...] = EACH) -> Floor:
        body = argo_rollout("api", steps=STEPS, image=OLD, replicas=5)
        floor = lay_floor(each=each, objects={"api": body}, unsettled=("api",))
        catalogued(floor)
        return floor

    return make


def catalogued(floor: Floor) -> None:
    """Let the catalog know that the service is a Rollout, and wait until that is well."""
    service = floor.services["api"]
    service.spec = {"workloads": [{"kind": "Rollout", "name": "api", "containers": ["web"]}]}
    service.save(update_fields=["spec"])
    healthy(floor)


def healthy(floor: Floor, name: str = "api") -> Json:
    def holds(seen: Json) -> bool:
        status, generation = seen.get("status", {}), str(seen["metadata"]["generation"])
        return bool(status.get("phase") == "Healthy" and status["observedGeneration"] == generation)

    return floor.space.wait("rollouts", name, holds)


def images(floor: Floor) -> dict[str, int]:
    found = [each["spec"]["containers"][0]["image"] for each in floor.space.pods("api")]
    return {image: found.count(image) for image in found}


def weights(rollout: Rollout) -> list[int]:
    """The share of the new version that each step of the canary reached, in their order."""
    steps = rollout.steps.filter(kind__in=("wait_rollout", "promote"), direction="forward")
    return [each.observed["weight"] for each in steps.order_by("position")]


@long
def test_each_promotion_leads_to_the_next_pause_and_the_last_to_the_end(
    lay_canary: Callable[..., Floor],
) -> None:
    floor = lay_canary()
    release = floor.release()
    preview = plans.preview(release)
    assert not preview.errors
    shares = [each.differing for each in preview.steps if each.kind == "promote"]
    assert [(each["before"], each["after"]) for [each] in shares] == [("20 %", "50 %"), ("50 %", "100 %")]
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    assert weights(rollout) == [20, 50, 100]
    told = [each.intent["changes"][0] for each in rollout.steps.filter(kind="promote") if each.intent]
    assert [(each["before"], each["after"]) for each in told] == [("20 %", "50 %"), ("50 %", "100 %")]
    healthy(floor)
    assert images(floor) == {floor.wanted("api", "2.0.0"): 5}
    # The way back of a canary at its end would walk all steps again: they are skipped.
    floor.order(rollout, "rollback")
    drive(rollout, *BACK)
    assert rollout.state == "rolled_back", why(rollout)
    healthy(floor)
    assert images(floor) == {OLD: 5}
    order = list(rollout.steps.filter(direction="back").values_list("kind", flat=True))
    assert order == ["restore_image", "promote", "wait_rollout", "verify_digests"]


@long
def test_new_pods_that_cannot_be_made_fail_it_in_seconds_and_it_goes_back(
    lay_canary: Callable[..., Floor],
) -> None:
    floor = lay_canary()
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "pods"}}
    floor.space.api.create(floor.space.path("resourcequotas"), {**quota, "spec": {"hard": {"pods": "5"}}})
    wait_for(lambda: floor.space.find("resourcequotas")[0].get("status", {}).get("used"), what="the quota")
    rollout = drive(floor.start(), *ENDS)
    failure = rollout.steps.get(kind="wait_rollout").failure
    assert failure is not None
    assert (rollout.state, failure["code"]) == ("failed", "FailedCreate")
    assert images(floor) == {OLD: 5}
    floor.order(rollout, "rollback")
    drive(rollout, *BACK)
    assert rollout.state == "rolled_back", why(rollout)
    assert healthy(floor)["status"].get("abort") is None
    assert images(floor) == {OLD: 5}


def _step_at_rest(floor: Floor) -> int:
    """The canary's step once the controller has taken up what was promoted before."""
    seen: list[int] = []
    while len(seen) < 4 or len(set(seen[-4:])) > 1:
        seen.append(floor.space.get("rollouts", "api")["status"]["currentStepIndex"])
        time.sleep(0.25)
    return seen[-1]


@long
def test_a_pause_holds_the_canary_itself_and_a_stop_aborts_it(lay_canary: Callable[..., Floor]) -> None:
    floor = lay_canary()
    rollout = floor.start()
    _until_first_pause(rollout)
    _obeyed(rollout, floor.order(rollout, "pause", reason="lunch"))
    assert drive(rollout, "paused").pause is not None
    seen = floor.space.get("rollouts", "api")
    assert (seen["spec"]["paused"], seen["status"]["message"]) == (True, "manually paused")
    before = _step_at_rest(floor)
    engine.advance(rollout.pk)
    assert _step_at_rest(floor) == before
    stop = _obeyed(rollout, floor.order(rollout, "stop"))
    assert stop.reach is not None
    assert [(each["act"], each["state"]) for each in stop.reach["targets"]] == [("abort", "reached")]
    assert drive(rollout, "stopped").state == "stopped"
    seen = floor.space.get("rollouts", "api")
    assert seen["status"]["message"].startswith("RolloutAborted")
    wait_for(lambda: images(floor) == {OLD: 5}, what="the stable version alone")
    floor.order(rollout, "rollback")
    assert drive(rollout, *BACK).state == "rolled_back", why(rollout)
    assert healthy(floor)["status"].get("abort") is None
    assert images(floor) == {OLD: 5}


@long
def test_a_canary_that_was_held_goes_on_when_the_rollout_is_resumed(lay_canary: Callable[..., Floor]) -> None:
    floor = lay_canary()
    rollout = floor.start()
    _until_first_pause(rollout)
    _obeyed(rollout, floor.order(rollout, "pause", reason="lunch"))
    floor.order(rollout, "resume")
    assert drive(rollout, *ENDS, seconds=60).state == "succeeded", why(rollout)
    assert "paused" not in floor.space.get("rollouts", "api")["spec"]
    assert images(floor) == {floor.wanted("api", "2.0.0"): 5}


def _obeyed(rollout: Rollout, order: Order) -> Order:
    """Let the engine go on until it reports that an order was honoured."""

    def reported() -> bool:
        engine.advance(rollout.pk)
        order.refresh_from_db()
        return order.honoured_at is not None

    wait_for(reported, what="the order")
    return order


@long
def test_a_worker_that_dies_after_a_promotion_does_not_promote_again(
    lay_canary: Callable[..., Floor],
) -> None:
    floor = lay_canary()
    with processes() as roles:
        doomed = roles.start("worker", PORTAL_TEST_STOP_POINTS="on", PORTAL_STOP_AT="after_act:promote")
        rollout = floor.start()
        assert waited(lambda: _swept() and doomed.poll() is not None, seconds=60)
        assert doomed.returncode == -signal.SIGKILL
        # The pause after the one that was lifted stands: a second promotion would have gone past it.
        paused_at(floor, 3)
        roles.start("worker")
        until(rollout, *ENDS, seconds=60)
    assert rollout.state == "succeeded", why(rollout)
    assert kinds(rollout).count("step.acted") == 3
    assert weights(rollout) == [20, 50, 100]


@long
def test_the_image_is_set_on_the_deployment_that_holds_the_template(lay_floor: Lay) -> None:
    named = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}
    body = argo_rollout("api", steps=STEPS[:2], replicas=2, workloadRef=named)
    for field in ("template", "selector"):
        del body["spec"][field]
    held = deployment("api", image=OLD, replicas=0)
    floor = lay_floor(each=EACH[:3], objects={"api": held}, unsettled=("api",))
    floor.space.create(body)
    catalogued(floor)
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    assert images(floor) == {floor.wanted("api", "2.0.0"): 2}
    assert floor.image("api") == floor.wanted("api", "2.0.0")
    floor.order(rollout, "rollback")
    assert drive(rollout, *BACK).state == "rolled_back", why(rollout)
    assert images(floor) == {OLD: 2}


@long
def test_a_canary_of_somebody_else_is_not_overwritten(lay_canary: Callable[..., Floor]) -> None:
    floor = lay_canary()
    place = "/spec/template/spec/containers/0/image"
    foreign = [{"op": "replace", "path": place, "value": "registry.test/floor/api:other"}]
    floor.space.patch("rollouts", "api", foreign, kind="json")
    paused_at(floor, 1)
    with translation.override("en"):
        errors = [each.error for each in plans.preview(floor.release()).errors]
    assert any("under way" in each for each in errors)
    rollout = drive(floor.start("3.0.0"), *ENDS)
    failure = rollout.steps.get(kind="set_image").failure
    assert failure is not None
    assert (rollout.state, failure["code"]) == ("failed", "canary_under_way")


@long
def test_a_plan_that_promotes_more_or_less_than_the_canary_pauses_is_named_before(
    lay_canary: Callable[..., Floor],
) -> None:
    floor = lay_canary(each=EACH[:3])
    errors = plans.preview(floor.release()).errors
    assert {each.kind for each in errors} == {"wait_rollout", "promote"}
    assert "2" in errors[0].error


def _until_first_pause(rollout: Rollout) -> None:
    def there() -> bool:
        engine.advance(rollout.pk)
        return rollout.steps.get(kind="wait_rollout").state == "succeeded"

    wait_for(there, what="the first pause", seconds=60)


def paused_at(floor: Floor, step: int) -> None:
    def holds(seen: Json) -> bool:
        status = seen["status"]
        return bool(status.get("phase") == "Paused" and status.get("currentStepIndex") == step)

    floor.space.wait("rollouts", "api", holds)


def _swept() -> bool:
    jobs.sweep_once()
    return True
