"""A canary: a share of the pods or of the traffic gets the new version, is watched, and goes on or back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.utils import translation

from releases.catalog.models import Connection
from releases.rollouts import plans
from releases.rollouts.canary_share import share_text
from releases.rollouts.models import Rollout
from releases.rollouts.steps import watch
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import deployment, http_route, service
from tests.portal.integrations.answering import Given, answering
from tests.rollouts.floor import Floor, drive, why

pytestmark = pytest.mark.usefixtures("gateway_api")

ENDS = ("failed", "succeeded", "paused", "rolled_back", "rollback_failed")
ROUTE = {"name": "api", "stable": "api", "canary": "api-canary"}
ERRORS = {"kind": "prometheus", "title": "Errors", "connection": "metrics", "query": 'errors{of="$canary"}'}


class Metrics:
    """A Prometheus that answers what the test wants; `asked` are its queries."""

    def __init__(self) -> None:
        self.errors = "0.001"
        self.bad_after = 10**6

    def answer(self, _asked: Any) -> Given:
        self.bad_after -= 1
        value = self.errors if self.bad_after >= 0 else "0.9"
        body = f'{{"status":"success","data":{{"resultType":"scalar","result":[1,"{value}"]}}}}'
        return Given(200, body.encode(), {"Content-Type": "application/json"})


@contextmanager
def canaried(lay_floor: Lay, metrics: Metrics, *, by: str, size: int = 10) -> Iterator[Floor]:
    """A floor whose service has a stable workload of some pods and a canary at rest."""
    stable = deployment("api", image="registry.test/floor/api:1.0.0", replicas=size)
    floor = lay_floor(objects={"api": stable})
    floor.space.create(deployment("api-canary", image="registry.test/floor/api:1.0.0", replicas=0))
    for name in ("api", "api-canary"):
        floor.space.create(service(name, selector={"app": name}))
    floor.space.create(http_route("api", {"api": 1, "api-canary": 0}))
    names = ("api", "api-canary")
    own = floor.services["api"]
    own.spec["workloads"] = [{"kind": "Deployment", "name": name, "containers": ["web"]} for name in names]
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


def weights(floor: Floor) -> dict[str, int]:
    [rule] = floor.space.get("httproutes", "api")["spec"]["rules"]
    return {each["name"]: each["weight"] for each in rule["backendRefs"]}


def scaled(rollout: Rollout, direction: str = "forward") -> list[tuple[str, int]]:
    """What was scaled to what, in its order."""
    steps = rollout.steps.filter(
        direction=direction, kind__in=("scale", "restore_scale"), acted__isnull=False
    )
    return [(each.params["workload"]["name"], (each.acted or {})["bounds"][0]) for each in steps]


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


def test_a_canary_by_weight_leads_its_shares_and_hands_over(lay_floor: Lay) -> None:
    with canaried(lay_floor, Metrics(), by="weight", size=4) as floor:
        rollout = drive(floor.start(), *ENDS, seconds=90)
        assert rollout.state == "succeeded", why(rollout)
        written = rollout.steps.filter(kind="set_weight").order_by("position")
        shares = [next(iter((each.acted or {})["weights"].values()))["api-canary"] for each in written]
        assert shares == [10, 20, 50, 0]
        assert [count for name, count in scaled(rollout) if name == "api-canary"] == [1, 1, 2, 0]
        assert weights(floor) == {"api": 1, "api-canary": 0}
        assert sizes(floor) == (4, 0)


@pytest.mark.parametrize("by", ["pods", "weight"])
@translation.override("en")
def test_a_gate_that_breaks_takes_it_all_back_by_itself(lay_floor: Lay, by: str) -> None:
    metrics = Metrics()
    with canaried(lay_floor, metrics, by=by) as floor:
        rollout = floor.start()
        # The shares of 10 and 20 % are well, the one of 50 % is not.
        metrics.bad_after = 2
        drive(rollout, *ENDS, seconds=90)
        assert rollout.state == "rolled_back", why(rollout)
        # What was scaled or weighted is marked as taken back; what failed stays what it was.
        failed = rollout.steps.get(state="failed")
        shown = share_text(list(rollout.steps.filter(direction="forward").order_by("position")))
        assert shown == {"pods": "canary 50 %: 5 of 10 pods", "weight": "canary 50 % of the traffic"}[by]
        assert (failed.key, (failed.failure or {})["code"]) == ("1.api.canary.50.watch", "gate_breached")
        assert sizes(floor) == (10, 0)
        assert weights(floor) == {"api": 1, "api-canary": 0}
        assert [floor.image(name)[-6:] for name in ("api", "api-canary")] == [":1.0.0", ":1.0.0"]
        back = list(rollout.steps.filter(direction="back").values_list("kind", flat=True))
        assert len([kind for kind in back if kind in {"restore_scale", "restore_weights"}]) == 2


def test_weights_that_somebody_else_changed_hold(lay_floor: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    with canaried(lay_floor, Metrics(), by="weight", size=2) as floor:
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
