"""A canary: a share of the pods or of the traffic gets the new version, is watched, and goes on or back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
from django.utils import translation

from portal.errors import TemporaryError
from releases.catalog.models import Connection
from releases.rollouts import plans
from releases.rollouts.canary_share import share_text
from releases.rollouts.models import Rollout
from releases.rollouts.steps import scale, watch
from tests.cluster.conftest import Cluster
from tests.cluster.contract.autoscaling import autoscaler
from tests.cluster.engine.conftest import Lay
from tests.cluster.engine.dying import dying, outlived
from tests.cluster.objects import deployment, failing, http_route, service, wait_for
from tests.cluster.rights import portal_account
from tests.portal.integrations.answering import Given, answering
from tests.rollouts.floor import Floor, drive, why
from tests.soak import long

pytestmark = pytest.mark.usefixtures("gateway_api")

ENDS = ("failed", "succeeded", "paused", "rolled_back", "rollback_failed")
OLD = "registry.test/floor/api:1.0.0"
ROUTE = {"name": "api", "stable": "api", "canary": "api-canary"}
ERRORS = {
    "kind": "prometheus",
    "title": "Errors",
    "connection": "metrics",
    "query": 'errors{of="$canary",code=~"5.."}',
}


class Metrics:
    """A Prometheus by which all is well, until the errors of a canary were asked for so many times."""

    def __init__(self) -> None:
        self.well = 10**6

    def answer(self, asked: Any) -> Given:
        value = self.value(unquote_plus(asked.path))
        body = f'{{"status":"success","data":{{"resultType":"scalar","result":[1,"{value}"]}}}}'
        return Given(200, body.encode(), {"Content-Type": "application/json"})

    def value(self, query: str) -> float:
        if "5.." not in query:
            return 0.2
        self.well -= "-canary" in query
        return 0.001 if self.well >= 0 else 0.9


@contextmanager
def canaried(lay_floor: Lay, metrics: Metrics, *, by: str, size: int = 10, **canary: Any) -> Iterator[Floor]:
    """A floor whose service has a stable workload of some pods and a canary at rest."""
    stable = deployment("api", image=OLD, replicas=size)
    floor = lay_floor(objects={"api": stable})
    floor.space.create(deployment("api-canary", image=OLD, replicas=0, **canary))
    for name in ("api", "api-canary"):
        floor.space.create(service(name, selector={"app": name}))
    floor.space.create(http_route("api", {"api": 1, "api-canary": 0}))
    own = floor.services["api"]
    own.spec["canary"] = {"stable": "api", "canary": "api-canary", "route": ROUTE}
    own.save(update_fields=["spec"])
    with answering(metrics.answer) as server:
        spec = {"kind": "prometheus", "url": server.url, "networks": ["127.0.0.0/8"]}
        Connection.objects.create(name="metrics", kind="prometheus", spec=spec)
        gates = {"seconds": 1, "everySeconds": 5, "gates": [{**ERRORS, "max": 0.01}]}
        floor.plan.spec["canary"] = {"by": by, "steps": [10, 20, 50, 100], "watch": gates}
        floor.plan.spec["onFailure"] = "rollback"
        floor.plan.save(update_fields=["spec"])
        yield floor


def sizes(floor: Floor) -> tuple[int, int]:
    """The replicas asked for of stable and canary."""
    found = (floor.space.get("deployments", name) for name in ("api", "api-canary"))
    stable, canary = (int(each["spec"]["replicas"]) for each in found)
    return stable, canary


def scaled(rollout: Rollout, direction: str = "forward") -> list[tuple[str, int]]:
    """What was scaled to what, in its order."""
    steps = rollout.steps.filter(
        direction=direction, kind__in=("scale", "restore_scale"), acted__isnull=False
    )
    return [(each.params["workload"]["name"], (each.acted or {})["bounds"][0]) for each in steps]


@long
def test_a_canary_of_pods_grows_by_its_shares_and_hands_over(lay_floor: Lay) -> None:
    with canaried(lay_floor, Metrics(), by="pods") as floor:
        release = floor.release()
        assert not [step.error for step in plans.preview(release).errors]
        rollout = drive(floor.start(), *ENDS, seconds=90)
        assert rollout.state == "succeeded", why(rollout)
        assert scaled(rollout) == [
            ("api-canary", 1),
            ("api", 9),
            ("api-canary", 2),
            ("api", 8),
            ("api-canary", 5),
            ("api", 5),
            ("api", 10),
            ("api-canary", 0),
        ]
        assert sizes(floor) == (10, 0)
        new = floor.wanted("api", "2.0.0")
        assert [floor.image(name) for name in ("api", "api-canary")] == [new, new]
        floor.order(rollout, "rollback")
        assert drive(rollout, "rolled_back", "rollback_failed", "paused", seconds=60).state == "rolled_back"
        assert (sizes(floor), floor.image("api")[-6:]) == ((10, 0), ":1.0.0")


@long
@translation.override("en")
def test_a_gate_that_breaks_takes_it_all_back_by_itself(lay_floor: Lay) -> None:
    metrics = Metrics()
    with canaried(lay_floor, metrics, by="pods") as floor:
        rollout = floor.start()
        # The shares of 10 and 20 % are well, the one of 50 % is not.
        metrics.well = 2
        drive(rollout, *ENDS, seconds=90)
        assert rollout.state == "rolled_back", why(rollout)
        failed = rollout.steps.get(state="failed")
        assert (failed.key, (failed.failure or {})["code"]) == ("1.api.canary.50.watch", "gate_breached")
        forward = list(rollout.steps.filter(direction="forward").order_by("position"))
        assert share_text(forward) == "canary 50 %: 5 of 10 pods"
        assert sizes(floor) == (10, 0)
        assert [floor.image(name)[-6:] for name in ("api", "api-canary")] == [":1.0.0", ":1.0.0"]
        # However often they were scaled, each is put back once, the stable workload first.
        assert scaled(rollout, "back") == [("api", 10), ("api-canary", 0)]


@long
def test_weights_that_somebody_else_changed_hold(lay_floor: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    with canaried(lay_floor, Metrics(), by="weight", size=2) as floor:
        floor.plan.spec["canary"]["steps"] = [50, 100]
        floor.plan.save(update_fields=["spec"])
        rollout = floor.start()
        observe = watch.Watch.observe

        def meddled(kind: watch.Watch, work: Any) -> Any:
            route = floor.space.get("httproutes", "api")
            route["spec"]["rules"][0]["backendRefs"][0]["weight"] = 55
            floor.space.patch("httproutes", "api", {"spec": {"rules": route["spec"]["rules"]}}, kind="merge")
            monkeypatch.setattr(watch.Watch, "observe", observe)
            return observe(kind, work)

        monkeypatch.setattr(watch.Watch, "observe", meddled)
        drive(rollout, *ENDS, seconds=60)
        assert rollout.state == "paused", why(rollout)
        assert rollout.pause is not None
        assert (rollout.pause["reason"], rollout.pause["args"]["object"]) == ("drift", "httproute/api")
        floor.order(rollout, "resume")
        assert drive(rollout, *ENDS, seconds=60).state == "succeeded", why(rollout)


@long
@pytest.mark.parametrize(
    ("first", "well", "end"),
    [
        ({"api": 7}, 99, "succeeded"),
        ({"api": 7}, 0, "rolled_back"),
        ({"api": 7, "api-canary": 3}, 99, "succeeded"),
        ({"api": 7, "api-canary": 3}, 0, "rolled_back"),
    ],
)
def test_a_rule_that_somebody_puts_before_the_canarys_changes_nothing_of_its_weights(
    lay_floor: Lay, monkeypatch: pytest.MonkeyPatch, first: dict[str, int], well: int, end: str
) -> None:
    metrics = Metrics()
    with canaried(lay_floor, metrics, by="weight", size=2) as floor:
        floor.plan.spec["canary"]["steps"] = [50, 100]
        floor.plan.save(update_fields=["spec"])
        rollout = floor.start()
        observe = watch.Watch.observe

        def meddled(kind: watch.Watch, work: Any) -> Any:
            rules = floor.space.get("httproutes", "api")["spec"]["rules"]
            more = http_route("api", first)["spec"]["rules"]
            floor.space.patch("httproutes", "api", {"spec": {"rules": [*more, *rules]}}, kind="merge")
            monkeypatch.setattr(watch.Watch, "observe", observe)
            metrics.well = well
            return observe(kind, work)

        monkeypatch.setattr(watch.Watch, "observe", meddled)
        drive(rollout, *ENDS[1:], seconds=60)
        before = {"api": 1, "api-canary": 0}
        # What leads to stable alone is somebody else's; what leads to both as well is a change that is asked.
        if "api-canary" in first:
            assert (rollout.state, (rollout.pause or {})["reason"]) == ("paused", "drift"), why(rollout)
            floor.order(rollout, "resume")
            drive(rollout, *ENDS[1:], seconds=60)
            first = before
        assert rollout.state == end, why(rollout)
        rules = floor.space.get("httproutes", "api")["spec"]["rules"]
        weights = [{each["name"]: each["weight"] for each in rule["backendRefs"]} for rule in rules]
        assert weights == [first, before]


@long
@pytest.mark.parametrize(("by", "kind"), [("pods", "restore_scale"), ("weight", "restore_weights")])
def test_a_way_back_leaves_the_canary_its_share_while_stable_has_no_pod(
    lay_floor: Lay, by: str, kind: str
) -> None:
    metrics = Metrics()
    with canaried(lay_floor, metrics, by=by, size=4) as floor:
        floor.plan.spec["canary"]["steps"] = [50, 100]
        floor.plan.spec["onFailure"] = "hold"
        floor.plan.save(update_fields=["spec"])
        metrics.well = 0
        rollout = drive(floor.start(), *ENDS, seconds=60)
        # Somebody takes the pods of the stable workload away; to give them back is skipped.
        floor.space.patch("deployments", "api", {"spec": {"replicas": 0}})
        floor.space.settle("api")
        floor.order(rollout, "rollback")
        drive(rollout, *ENDS[2:])
        if by == "pods":
            assert (rollout.state, (rollout.pause or {})["reason"]) == ("paused", "drift")
            held = rollout.steps.get(pk=(rollout.pause or {})["step"])
            floor.order(rollout, "skip", step=held, reason="there is no room")
            floor.order(rollout, "resume")
            drive(rollout, *ENDS[3:])
        failed = rollout.steps.get(direction="back", state="failed")
        assert rollout.state == "rollback_failed", why(rollout)
        assert (failed.kind, (failed.failure or {})["code"]) == (kind, "no_ready_pods")
        assert sizes(floor) == (0, 2)


@long
def test_a_worker_that_dies_at_a_weight_leaves_what_the_next_one_ends(
    lay_floor: Lay, monkeypatch: pytest.MonkeyPatch
) -> None:
    with canaried(lay_floor, Metrics(), by="weight", size=2) as floor:
        floor.plan.spec["canary"]["steps"] = [50, 100]
        floor.plan.save(update_fields=["spec"])
        before = floor.space.get("httproutes", "api")["metadata"]["generation"]
        rollout = outlived(floor, dying(monkeypatch, "set_weight"))
        assert rollout.state == "succeeded", why(rollout)
        weights = rollout.steps.filter(kind="set_weight", direction="forward", acted__isnull=False)
        after = floor.space.get("httproutes", "api")["metadata"]["generation"]
        assert after - before == weights.count() > 1, "a weight was written twice, or never"


@long
def test_a_worker_that_dies_at_a_size_beside_others_leaves_what_the_next_one_ends(
    lay_floor: Lay, monkeypatch: pytest.MonkeyPatch
) -> None:
    with canaried(lay_floor, Metrics(), by="pods", size=4) as floor:
        floor.plan.spec["canary"] = {"by": "pods", "steps": [25, 50, 100]}
        floor.plan.save(update_fields=["spec"])
        rollout = outlived(floor, dying(monkeypatch, "scale"))
        assert rollout.state == "succeeded", why(rollout)
        shares = [("api-canary", 1), ("api-canary", 2), ("api", 3), ("api", 2)]
        assert scaled(rollout) == [*shares, ("api", 4), ("api-canary", 0)]
        assert sizes(floor) == (4, 0)


@long
def test_a_canary_that_cannot_start_is_named_in_seconds_and_taken_back(lay_floor: Lay) -> None:
    broken = failing("ErrImagePull")
    with canaried(lay_floor, Metrics(), by="pods", size=2, pod_annotations=broken) as floor:
        rollout = drive(floor.start(), *ENDS, seconds=60)
        assert rollout.state == "rolled_back", why(rollout)
        failed = rollout.steps.get(failure__isnull=False)
        # Each would wait for ten minutes; the wait for the new template goes on while the first pods come.
        assert failed.key in {"1.api.canary.wait_rollout", "1.api.canary.10.scale"}
        assert (failed.failure or {})["code"] == "ErrImagePull"
        assert sizes(floor) == (2, 0)


@long
def test_a_size_whose_answer_was_lost_is_taken_for_nobody_elses(
    lay_floor: Lay, monkeypatch: pytest.MonkeyPatch
) -> None:
    act = scale.Scale.act
    left = {"1.api.canary.50.scale"}

    def cut(kind: scale.Scale, work: Any, change: Any) -> Any:
        acted = act(kind, work, change)
        if work.step.key in left:
            left.remove(work.step.key)
            raise TemporaryError("cut", retry_in=0.1, code="unavailable")
        return acted

    monkeypatch.setattr(scale.Scale, "act", cut)
    with canaried(lay_floor, Metrics(), by="pods", size=2) as floor:
        floor.plan.spec["canary"] = {"by": "pods", "steps": [50, 100]}
        floor.plan.save(update_fields=["spec"])
        rollout = drive(floor.start(), *ENDS, seconds=60)
        assert (rollout.state, left) == ("succeeded", set()), why(rollout)
        assert scaled(rollout) == [("api-canary", 1), ("api", 1), ("api", 2), ("api-canary", 0)]
        assert sizes(floor) == (2, 0)


@long
def test_pods_that_an_autoscaler_owns_are_not_shared_and_the_dry_run_says_so(lay_floor: Lay) -> None:
    with canaried(lay_floor, Metrics(), by="pods", size=2) as floor:
        floor.space.create(autoscaler("api", minimum=1, maximum=3))
        errors = plans.preview(floor.release()).errors
        assert {step.key for step in errors} == {f"1.api.canary.{share}.stable" for share in (10, 20, 50)}
        assert "api" in errors[0].error


@long
def test_a_stop_in_the_middle_of_the_hand_over_is_rolled_back_with_all_pods(lay_floor: Lay) -> None:
    with canaried(lay_floor, Metrics(), by="pods", size=4) as floor:
        slow = {"metadata": {"annotations": failing("LateReady", after="2s")}}
        floor.space.patch("deployments", "api", {"spec": {"template": slow}})
        floor.space.settle("api")
        rollout = floor.start()
        written = rollout.steps.filter(kind="set_image", params__workload__name="api", acted__isnull=False)

        def is_handed_over() -> bool:
            drive(rollout, *Rollout.MOVES)
            return written.exists()

        wait_for(is_handed_over, what="the hand-over", seconds=90)
        floor.order(rollout, "stop")
        assert drive(rollout, *ENDS, "stopped").state == "stopped", why(rollout)
        assert floor.space.get("deployments", "api")["spec"]["paused"] is True
        floor.order(rollout, "rollback")
        drive(rollout, "rolled_back", "rollback_failed", "paused", seconds=90)
        assert rollout.state == "rolled_back", why(rollout)
        assert sizes(floor) == (4, 0)
        assert "paused" not in floor.space.get("deployments", "api")["spec"]


@long
def test_an_account_that_may_not_share_the_traffic_is_named_before_the_start(
    lay_floor: Lay, cluster: Cluster, tmp_path: Path
) -> None:
    with (
        canaried(lay_floor, Metrics(), by="weight", size=2) as floor,
        portal_account(cluster.admin, without="httproutes") as account,
    ):
        path = replace(cluster, limited=account).limited_kubeconfig(tmp_path)
        floor.environment.cluster.spec = {"kubeconfigRef": f"file:{path}"}
        floor.environment.cluster.save(update_fields=["spec"])
        errors = plans.preview(floor.release()).errors
    [said] = [each.error for each in errors if each.kind == "access_check"]
    assert said.endswith(": get httproutes, patch httproutes")
