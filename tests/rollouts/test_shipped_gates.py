"""StoreBridge's gates as they ship, asked of a real Prometheus that scrapes what a shop's pods would show.

Each made-up workload grows its counters with every scrape by a fixed amount, so that rates have the shares
that are written here whatever the machine's pace.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from portal.integrations.http.client import Allow
from portal.integrations.prometheus.client import Server, values
from releases.catalog import watches
from releases.catalog.models import Connection
from releases.rollouts.graph import Node
from releases.rollouts.models import Rollout, Step
from tests.cluster.objects import wait_for
from tests.factories import Shop, make_rollout
from tests.portal.integrations.answering import Asked, Given, answering
from tests.prometheus import running_prometheus
from tests.rollouts.test_metric import measure
from tests.rollouts.test_metric import watched as measured_once
from tests.rollouts.test_watch_step import later
from tests.soak import long

pytestmark = long

CATALOG = Path(__file__).resolve().parents[2] / "deploy" / "examples" / "storebridge" / "catalog.yaml"
NOBODY = "http://127.0.0.1:9"
QUICK, SLOWER, SLOW = ("0.1", "0.2", "0.5")
BOUNDS = ("0.1", "0.2", "0.5", "+Inf")


@dataclass(frozen=True)
class Pods:
    """What a workload's counters grow by with each scrape.

    Attributes:
        errors: how many of the requests are answered by a 500; None: it never counted one.
        within: the bound in seconds that every answer keeps.
        scrapes: after so many it gets no requests any more.
    """

    requests: int = 1000
    errors: int | None = 2
    within: str = QUICK
    scrapes: int = 10**9

    def text(self, name: str, scrape: int) -> str:
        """What Prometheus reads."""
        times = min(scrape, self.scrapes)
        labels = f'namespace="shop",deployment="{name}"'
        counts = {"200": self.requests - (self.errors or 0), "500": self.errors}
        lines = [
            f'http_requests_total{{{labels},status="{status}"}} {count * times}'
            for status, count in counts.items()
            if count is not None
        ]
        lines += [
            f'http_request_duration_seconds_bucket{{{labels},le="{bound}"}} {self._kept(bound) * times}'
            for bound in BOUNDS
        ]
        return "\n".join(lines)

    def _kept(self, bound: str) -> int:
        return self.requests if BOUNDS.index(bound) >= BOUNDS.index(self.within) else 0


WORKLOADS = {
    "stable": Pods(),
    "good": Pods(),
    "flawless": Pods(errors=None),
    "worse": Pods(errors=8),
    "failing": Pods(errors=50),
    "slower": Pods(within=SLOWER),
    "slow": Pods(within=SLOW),
    # 5 requests in 2 minutes are less than the 0.1 a second that the plan asks for.
    "quiet": Pods(requests=1, errors=0, scrapes=5),
    # It is scraped, and gets no request: nothing divided by nothing.
    "idle": Pods(requests=0, errors=0),
}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server that has read every workload some times."""
    scrapes = 0

    def exported(_asked: Asked) -> Given:
        nonlocal scrapes
        scrapes += 1
        text = "\n".join(pods.text(name, scrapes) for name, pods in WORKLOADS.items())
        return Given(200, f"{text}\n".encode(), {"Content-Type": "text/plain; version=0.0.4"})

    folder = tmp_path_factory.mktemp("prometheus")
    with (
        answering(exported) as exporter,
        running_prometheus(folder, scraped=f"127.0.0.1:{exporter.port}") as url,
    ):
        server = Server(url=url, allow=Allow.of(networks=["127.0.0.0/8"]))
        read = "min(count_over_time(http_requests_total[2m]))"
        wait_for(lambda: max(values(server, read), default=0) > WORKLOADS["quiet"].scrapes, what="scrapes")
        yield url


def shipped() -> dict[str, Any]:
    """The watch of the canary in StoreBridge's catalog."""
    documents = yaml.safe_load_all(CATALOG.read_text())
    plan = next(each for each in documents if each["metadata"]["name"] == "storebridge-production-canary")
    watch: dict[str, Any] = plan["spec"]["canary"]["watch"]
    return watch


def watched(shop: Shop, url: str, canary: str, stable: str = "stable") -> Rollout:
    """A rollout that only watches this canary beside that workload, when the plan's time is over."""
    spec = {"kind": "prometheus", "url": url, "networks": ["127.0.0.0/8"]}
    Connection.objects.create(name="storebridge-metrics", kind="prometheus", spec=spec)
    params = {**shipped(), "pair": {"canary": canary, "stable": stable}}
    seconds = 60 + watches.measured_seconds(params)
    node = Node(key="1.watch", kind="watch", position=0, wave=1, params=params, timeout_seconds=seconds)
    rollout = make_rollout(shop, [node])
    Step.objects.update(service=shop.shopping)
    later(rollout, 0)
    return later(rollout, watches.watched_seconds(params))


def gates(rollout: Rollout) -> list[tuple[str, str]]:
    """What each gate came to last, with why."""
    found = rollout.steps.get().observed["gates"]
    return [(gate["points"][-1][2], (gate["seen"].get("failure") or gate["seen"])["code"]) for gate in found]


@pytest.mark.parametrize("canary", ["good", "flawless"])
def test_a_canary_as_good_as_the_stable_version_passes(shop: Shop, prometheus: str, canary: str) -> None:
    rollout = watched(shop, prometheus, canary)
    assert gates(rollout) == [("good", "metric_now")] * 2
    assert (rollout.steps.get().state, rollout.state) == ("succeeded", "succeeded")


def test_a_service_that_never_answered_by_an_error_passes(shop: Shop, prometheus: str) -> None:
    rollout = watched(shop, prometheus, "flawless", stable="flawless")
    assert gates(rollout) == [("good", "metric_now")] * 2


@pytest.mark.parametrize(
    ("canary", "gate", "code"),
    [
        ("failing", 0, "metric_beyond"),
        ("worse", 0, "metric_beyond_other"),
        ("slow", 1, "metric_beyond"),
        ("slower", 1, "metric_beyond_other"),
    ],
)
def test_a_canary_beyond_its_limit_or_worse_than_stable_fails(
    shop: Shop, prometheus: str, canary: str, gate: int, code: str
) -> None:
    rollout = watched(shop, prometheus, canary)
    step = rollout.steps.get()
    assert (step.state, rollout.state) == ("failed", "failed")
    assert gates(rollout)[gate] == ("bad", code)
    assert gates(rollout)[1 - gate] == ("good", "metric_now")
    assert (step.failure or {})["code"] == "gate_breached"


@pytest.mark.parametrize(
    ("canary", "stable", "codes"),
    [
        # NaN, and no series at all.
        ("idle", "stable", ["metric_little_traffic", "metric_no_data"]),
        ("nobody", "stable", ["metric_little_traffic", "metric_no_data"]),
        ("quiet", "stable", ["metric_little_traffic", "metric_now"]),
        ("good", "idle", ["metric_nothing_to_compare"] * 2),
        ("good", "nobody", ["metric_nothing_to_compare"] * 2),
        ("good", "flawless", ["metric_compared_with_none", "metric_now"]),
    ],
)
def test_what_says_nothing_is_measured_again_and_then_asked_of_a_person(
    shop: Shop, prometheus: str, canary: str, stable: str, codes: list[str]
) -> None:
    rollout = watched(shop, prometheus, canary, stable)
    assert [code for _result, code in gates(rollout)] == codes
    for _again in range(2):
        assert rollout.steps.get().state == "running"
        later(rollout, 30)
    assert (rollout.steps.get().state, rollout.state) == ("inconclusive", "paused")


def test_a_server_that_is_away_is_neither_a_breach_nor_a_pass(shop: Shop) -> None:
    rollout = watched(shop, NOBODY, "good")
    for _again in range(2):
        assert rollout.steps.get().state == "running"
        later(rollout, 30)
    assert (rollout.steps.get().state, rollout.state) == ("errored", "paused")


@pytest.mark.parametrize(
    ("canary", "looks", "state", "code"),
    [
        ("good", 3, "succeeded", "metric_good"),
        ("worse", 1, "failed", "metric_beyond_other"),
        ("quiet", 4, "inconclusive", "metric_little_traffic"),
    ],
)
def test_the_same_gate_as_a_step_of_its_own(
    shop: Shop, prometheus: str, canary: str, looks: int, state: str, code: str
) -> None:
    pair = {"canary": canary, "stable": "stable"}
    gate = {**shipped()["gates"][0], "connection": "metrics"}
    rollout = measured_once(shop, prometheus, **gate, pair=pair)
    for _again in range(looks - 1):
        assert measure(rollout).state == "running"
    step = measure(rollout)
    assert (step.state, (step.failure or step.observed)["code"]) == (state, code)


def test_nothing_divided_by_nothing_is_no_number_to_a_real_server(prometheus: str) -> None:
    query = shipped()["gates"][1]["query"].replace("$namespace", "shop")
    server = Server(url=prometheus, allow=Allow.of(networks=["127.0.0.0/8"]))
    assert math.isnan(*values(server, query.replace("$canary", "idle")))
    assert values(server, query.replace("$canary", "nobody")) == []
    (value,) = values(server, query.replace("$canary", "good"))
    assert value == pytest.approx(0.095)
