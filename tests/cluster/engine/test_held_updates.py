"""A stop and a pause hold the rolling update of a Deployment: what lets it go, and what has no hold."""

from collections import Counter
from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import translation

from releases.rollouts import operations, plans, stop_points, texts
from releases.rollouts.models import Finding, Order, Rollout
from tests.cluster.api import Json
from tests.cluster.engine.conftest import Lay
from tests.cluster.engine.test_operations import approved, watch
from tests.cluster.objects import daemon_set, deployment, slow, stateful_set, wait_for
from tests.rollouts.floor import Floor, digest_for, drive, pinned, why
from tests.soak import long

ENDS = ("failed", "succeeded", "paused")
BACK = ("rolled_back", "rollback_failed", "paused")
PODS = 12
# Pinned: where nodes report no digest, that says what runs.
OLD = f"registry.test/floor/api:1.0.0@{digest_for('api', '1.0.0')}"
# Two at a time, each of which takes a while: a dozen pods are long on their way.
SLOWLY: Json = {
    "replicas": PODS,
    "pod_annotations": slow("1s"),
    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}},
}
HELD = "portal/held"


@pytest.fixture
def floor(lay_floor: Lay) -> Floor:
    """A floor with one Deployment of many pods that come slowly."""
    return lay_floor(objects={"api": deployment("api", image=OLD, **SLOWLY)})


def api(floor: Floor) -> Json:
    return floor.space.get("deployments", "api")


def images(floor: Floor) -> Counter[str]:
    """How many pods ask for which image; those that end are left out."""
    return Counter(pod["spec"]["containers"][0]["image"] for pod in floor.space.pods("api"))


def is_paused(floor: Floor) -> bool:
    """Whether the Deployment is paused, or still carries the portal's mark."""
    seen = api(floor)
    return bool(seen["spec"].get("paused")) or HELD in (seen["metadata"].get("annotations") or {})


def under_way(floor: Floor, version: str = "2.0.0") -> Rollout:
    """A rollout in the middle of its update: some pods are new, most are not."""
    rollout = floor.start(version)
    new = floor.wanted("api", version)

    def looks() -> bool:
        drive(rollout, "running")
        return images(floor)[new] >= 2

    wait_for(looks, what="the first new pods")
    return rollout


def asked(floor: Floor, rollout: Rollout, kind: str) -> Order:
    """Give an order, and let workers go on until it is reported."""
    order = floor.order(rollout, kind, reason="lunch")

    def reported() -> bool:
        drive(rollout, *Rollout.MOVES)
        order.refresh_from_db()
        return order.honoured_at is not None

    wait_for(reported, what="the report")
    return order


def reached(order: Order) -> list[tuple[str, str, str]]:
    found = (order.reach or {"targets": []})["targets"]
    return [(each["kind"], each["act"], each["state"]) for each in found]


def at_rest(floor: Floor) -> Counter[str]:
    """The pods once those that were asked for have come: they stay as they are for seconds."""
    seen: list[Counter[str]] = []

    def same() -> Counter[str] | None:
        ready = api(floor)["status"].get("readyReplicas", 0) == api(floor)["status"]["replicas"]
        seen.append(images(floor) if ready else Counter())
        last = seen[-8:]
        return last[0] if len(last) == 8 and last.count(last[0]) == 8 and last[0] else None

    return wait_for(same, what="an update at rest", pause=0.5)


def require_whole(floor: Floor, image: str) -> None:
    """All pods are of this image, and nothing is left paused."""
    wait_for(lambda: images(floor) == {image: PODS}, what=f"{PODS} pods of {image}")
    assert not is_paused(floor)


@long
def test_a_stop_leaves_the_pods_that_are_not_replaced_yet_and_a_rollback_brings_all_back(
    floor: Floor, client: Client
) -> None:
    watch(floor)
    rollout = under_way(floor)
    order = asked(floor, rollout, "stop")
    assert (rollout.state, reached(order)) == ("stopped", [("Deployment", "hold", "reached")])
    rest = at_rest(floor)
    new = floor.wanted("api", "2.0.0")
    assert set(rest) == {OLD, new}
    assert rest[OLD] > 0
    assert is_paused(floor)
    client.force_login(floor.shop.cast.author)
    page = client.get(f"/rollouts/{rollout.pk}/", headers={"accept-language": "en"}).content.decode()
    assert "Held in the cluster: deployment/api." in page
    assert "the rest does not come" in page
    # The portal's own pause is no change that nobody approved.
    watch(floor)
    assert Finding.objects.count() == 0
    floor.order(rollout, "rollback")
    assert drive(rollout, *BACK, seconds=60).state == "rolled_back", why(rollout)
    require_whole(floor, OLD)


@long
def test_a_pause_holds_the_update_and_a_resume_carries_it_to_its_end(floor: Floor) -> None:
    rollout = under_way(floor)
    order = asked(floor, rollout, "pause")
    assert (rollout.state, reached(order)) == ("paused", [("Deployment", "hold", "reached")])
    rest = at_rest(floor)
    assert rest[OLD] > 0
    drive(rollout, "paused")
    step = rollout.steps.get(kind="wait_rollout")
    assert (step.state, step.observed["code"]) == ("running", "waits_held")
    waiting = rollout.steps.filter(state="waiting").earliest("position")
    floor.order(rollout, "skip", step=waiting, reason="not today")
    drive(rollout, "paused")
    assert is_paused(floor), "it was let go, and nobody asked it to go on"
    order = asked(floor, rollout, "resume")
    assert [act for _kind, act, _state in reached(order)] == ["let_go"]
    assert drive(rollout, *ENDS, seconds=60).state == "succeeded", why(rollout)
    require_whole(floor, floor.wanted("api", "2.0.0"))


@long
def test_a_rollback_from_a_pause_takes_no_further_pod(floor: Floor) -> None:
    rollout = under_way(floor)
    asked(floor, rollout, "pause")
    out = at_rest(floor)[floor.wanted("api", "2.0.0")]
    order = floor.order(rollout, "rollback")
    most = 0

    def back() -> bool:
        nonlocal most
        drive(rollout, *Rollout.MOVES)
        most = max(most, images(floor)[floor.wanted("api", "2.0.0")])
        return rollout.state in BACK

    wait_for(back, what="the way back", seconds=60)
    assert rollout.state == "rolled_back", why(rollout)
    # Let go by the very patch that gives the image back, not before it.
    assert most <= out
    order.refresh_from_db()
    assert order.reach is None
    require_whole(floor, OLD)


@long
def test_a_pause_on_the_way_back_holds_it_as_well(floor: Floor) -> None:
    rollout = under_way(floor)
    at = floor.wanted("api", "2.0.0")
    wait_for(lambda: images(floor)[at] >= 6, what="half of the pods")
    floor.order(rollout, "rollback")
    drive(rollout, "rolling_back")
    wait_for(lambda: floor.image("api") == OLD or drive(rollout, "rolling_back") is None, what="the image")
    order = asked(floor, rollout, "stop")
    assert (rollout.state, reached(order)) == ("paused", [("Deployment", "hold", "reached")])
    assert at_rest(floor)[at] > 0
    asked(floor, rollout, "resume")
    assert drive(rollout, *BACK, seconds=60).state == "rolled_back", why(rollout)
    require_whole(floor, OLD)


@long
def test_the_next_release_after_a_stop_lets_it_go(floor: Floor) -> None:
    asked(floor, under_way(floor), "stop")
    at_rest(floor)
    release = floor.release("3.0.0")
    preview = plans.preview(release)
    assert [each.kind for each in preview.errors] == []
    assert ["held where a rollout was stopped" in note for each in preview.noted for note in each.notes]
    rollout = operations.start_rollout(release.number, actor=floor.actor)
    assert drive(rollout, *ENDS, seconds=60).state == "succeeded", why(rollout)
    require_whole(floor, floor.wanted("api", "3.0.0"))


@long
def test_a_restart_does_not_carry_to_the_end_what_was_stopped(floor: Floor) -> None:
    watch(floor)
    stopped = under_way(floor)
    asked(floor, stopped, "stop")
    rest = at_rest(floor)
    rollout = drive(
        operations.start_rollout(approved(floor, kind="restart").number, actor=floor.actor), *ENDS
    )
    step = rollout.steps.get(kind="restart")
    failure = step.failure or {}
    assert (rollout.state, failure["code"]) == ("failed", "workload_held")
    assert images(floor) == rest
    with translation.override("en"):
        said = texts.step_text(step)
    assert said.endswith(f"roll that back, or bring out another release: rollout {stopped.pk}")
    client = Client(headers={"accept-language": "en"})
    client.force_login(floor.shop.cast.author)
    page = client.get(f"/rollouts/{rollout.pk}/").content.decode()
    assert f'<a href="/rollouts/{stopped.pk}/">To the rollout that was stopped</a>' in page


@long
def test_a_restart_is_held_and_goes_on_by_a_rollback_as_nothing_undoes_it(floor: Floor) -> None:
    release = approved(floor, kind="restart")
    before = {pod["metadata"]["uid"] for pod in floor.space.pods("api")}
    rollout = operations.start_rollout(release.number, actor=floor.actor)

    def looks() -> bool:
        drive(rollout, "running")
        return len({pod["metadata"]["uid"] for pod in floor.space.pods("api")} - before) >= 2

    wait_for(looks, what="the first new pods")
    order = asked(floor, rollout, "stop")
    assert reached(order) == [("Deployment", "hold", "reached")]
    at_rest(floor)
    assert {pod["metadata"]["uid"] for pod in floor.space.pods("api")} & before
    order = asked(floor, rollout, "rollback")
    assert reached(order) == [("Deployment", "let_go", "reached")]
    assert drive(rollout, *BACK).state == "rolled_back", why(rollout)
    assert not is_paused(floor)


@long
def test_a_pause_of_somebody_else_is_never_lifted(floor: Floor) -> None:
    rollout = under_way(floor)
    asked(floor, rollout, "pause")
    # Somebody lets it go, and pauses it again: the portal's mark alone does not make that its own.
    for paused in (None, True):
        floor.space.patch(
            "deployments", "api", {"spec": {"paused": paused}}, kind="merge", fieldManager="kubectl-rollout"
        )
    order = asked(floor, rollout, "resume")
    assert reached(order) == [("Deployment", "let_go", "unneeded")]
    assert api(floor)["spec"]["paused"] is True
    assert drive(rollout, "paused").pause is not None
    assert (rollout.pause or {})["args"]["field"] == "spec.paused"
    floor.order(rollout, "rollback")
    assert drive(rollout, *BACK).state == "paused"
    # What ran before is written first: letting it go by hand must not bring more of the new version.
    assert (floor.image("api"), (rollout.pause or {})["args"]["field"]) == (OLD, "spec.paused")
    floor.order(rollout, "resume")
    waits = rollout.steps.filter(kind="wait_rollout", direction="back", observed__code="waits_unpaused")
    wait_for(lambda: bool(drive(rollout, *Rollout.MOVES)) and waits.exists(), what="the way back to wait")
    command = f"kubectl rollout resume deployment/api -n {floor.space.name}"
    assert waits.get().observed["command"] == command
    floor.space.patch("deployments", "api", {"spec": {"paused": None}}, kind="merge", fieldManager="kubectl")
    assert drive(rollout, *BACK, seconds=60).state == "rolled_back", why(rollout)
    wait_for(lambda: images(floor) == {OLD: PODS}, what="the old pods")


def test_what_stands_paused_before_the_start_is_named_and_not_written(lay_floor: Lay) -> None:
    floor = lay_floor(objects=pinned())
    patch = {"spec": {"paused": True}}
    floor.space.patch("deployments", "api", patch, kind="merge", fieldManager="kubectl-rollout")
    release = floor.release()
    with translation.override("en"):
        [wrong] = plans.preview(release).errors
    command = f"kubectl rollout resume deployment/api -n {floor.space.name}"
    assert wrong.kind == "set_image"
    assert "Somebody has paused deployment/api" in wrong.error
    assert command in wrong.error
    rollout = drive(operations.start_rollout(release.number, actor=floor.actor), *ENDS)
    failure = rollout.steps.get(kind="set_image").failure or {}
    assert (rollout.state, failure["code"]) == ("failed", "workload_paused")
    assert floor.image("api") == OLD
    floor.space.patch("deployments", "api", {"spec": {"paused": None}}, kind="merge", fieldManager="kubectl")
    floor.order(rollout, "retry", step=rollout.steps.get(kind="set_image"))
    assert drive(rollout, *ENDS, seconds=60).state == "succeeded", why(rollout)


class Died(BaseException):
    """The worker's death: nothing of ours catches it."""


@long
@pytest.mark.parametrize(("first", "act"), [("pause", "hold"), ("resume", "let_go")])
def test_a_worker_that_dies_between_the_write_and_the_record_leaves_nothing_half(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, first: str, act: str
) -> None:
    rollout = under_way(floor)
    if first == "resume":
        asked(floor, rollout, "pause")
    with monkeypatch.context() as patched:
        patched.setattr(stop_points, "reach", dies_at(act))
        order = floor.order(rollout, first)
        with pytest.raises(Died):
            drive(rollout, *ENDS, "stopped")
    generation = api(floor)["metadata"]["generation"]
    Rollout.objects.filter(pk=rollout.pk).update(lease_until=None)
    drive(rollout, "paused" if first == "pause" else "running")

    def reported() -> bool:
        drive(rollout, *Rollout.MOVES)
        order.refresh_from_db()
        return order.honoured_at is not None

    wait_for(reported, what="the report")
    assert reached(order) == [("Deployment", act, "reached")]
    # Found again by what the first one left there: nothing is written a second time.
    assert api(floor)["metadata"]["generation"] == generation
    assert is_paused(floor) is (first == "pause")
    if first == "pause":
        assert at_rest(floor)[OLD] > 0
        asked(floor, rollout, "resume")
    assert drive(rollout, *ENDS, seconds=60).state == "succeeded", why(rollout)
    require_whole(floor, floor.wanted("api", "2.0.0"))


def dies_at(act: str) -> Callable[..., None]:
    def reach(name: str, *, kind: str = "") -> None:
        if (name, kind) == ("after_act", act):
            raise Died

    return reach


@long
@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_what_has_no_such_switch_is_named(lay_floor: Lay, client: Client, kind: str) -> None:
    make = {"StatefulSet": stateful_set, "DaemonSet": daemon_set}[kind]
    floor = lay_floor(objects={"api": make("api", image=OLD, pod_annotations=slow("2s"))}, unsettled=("api",))
    service = floor.services["api"]
    service.spec = {"workloads": [{"kind": kind, "name": "api", "containers": ["web"]}]}
    service.save(update_fields=["spec"])
    ready = "readyReplicas" if kind == "StatefulSet" else "numberReady"
    floor.space.wait(f"{kind.lower()}s", "api", lambda seen: seen.get("status", {}).get(ready))
    rollout = drive(floor.start(), "running")
    wait_for(lambda: drive(rollout, "running").steps.get(kind="set_image").acted, what="the image")
    order = asked(floor, rollout, "stop")
    assert (rollout.state, reached(order)) == ("stopped", [(kind, "hold", "goes_on")])
    client.force_login(floor.shop.cast.author)
    page = client.get(f"/rollouts/{rollout.pk}/", headers={"accept-language": "en"}).content.decode()
    assert f"Cannot be held: {kind.lower()}/api." in page
    assert f"{kind.lower()}/api cannot be held: its controller goes on" in page


@long
def test_what_is_done_already_is_not_held(lay_floor: Lay) -> None:
    floor = lay_floor(
        services=("api", "web"),
        waves=(("api",), ("web",)),
        objects={"web": deployment("web", image="registry.test/floor/web:1.0.0", minReadySeconds=5)},
    )
    rollout = floor.start()

    def second() -> bool:
        drive(rollout, "running")
        return rollout.steps.get(kind="set_image", wave=2).acted is not None

    wait_for(second, what="the second wave")
    order = asked(floor, rollout, "stop")
    found = (order.reach or {"targets": []})["targets"]
    assert [(each["workload"], each["state"]) for each in found] == [("web", "reached")]
    assert not is_paused(floor)
