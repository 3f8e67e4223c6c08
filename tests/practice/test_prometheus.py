"""The demo's Prometheus, as the gates of StoreBridge's canary ask it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from portal.embedded.cluster.prometheus import BOUNDS, BUCKETS, UnknownQueryError, value
from portal.errors import PermanentError
from portal.integrations.http.client import Allow
from portal.integrations.prometheus.client import BAD_QUERY, Server, values
from tests.cluster.objects import Space, deployment, http_route, service
from tests.practice.conftest import Practice

CATALOG = Path(__file__).resolve().parents[2] / "deploy" / "examples" / "storebridge" / "catalog.yaml"
IMAGE = "registry.practice/shop/worker:{}"
GOOD, ERRORS, SLOW = "7", "8", "9"


def gates() -> Iterator[dict[str, Any]]:
    for document in yaml.safe_load_all(CATALOG.read_text()):
        if document["metadata"]["name"] == "storebridge-production-canary":
            yield from document["spec"]["canary"]["watch"]["gates"]


ERROR_RATE, LATENCY = gates()


class Asking:
    """The example's queries about two Deployments of a namespace."""

    def __init__(self, practice: Practice, space: Space) -> None:
        self._space = space
        url = f"http://127.0.0.1:{practice.prometheus_port}"
        self._server = Server(url=url, allow=Allow.of(networks=["127.0.0.0/8"]))

    def __call__(self, query: str) -> list[float]:
        names = {"$namespace": self._space.name, "$stable": "web", "$canary": "web-canary"}
        for name, word in names.items():
            query = query.replace(name, word)
        return values(self._server, query)

    def breaks(self, gate: dict[str, Any]) -> bool:
        [found], [other] = self(gate["query"]), self(gate["compare"]["query"])
        return bool(found > gate["max"] or found / other > gate["compare"]["max"])


@pytest.fixture
def asking(practice: Practice, space: Space) -> Asking:
    """A stable workload with traffic, and a canary at rest."""
    for name, size in (("web", 2), ("web-canary", 0)):
        space.create(deployment(name, image=IMAGE.format(GOOD), replicas=size))
        space.create(service(name, selector={"app": name}))
    space.create(http_route("web", {"web": 90, "web-canary": 10}))
    space.settle("web")
    return Asking(practice, space)


def bring_out(space: Space, tag: str) -> None:
    space.patch("deployments", "web-canary", {"spec": {"replicas": 1}})
    space.set_image("web-canary", IMAGE.format(tag))
    space.settle("web-canary")


def test_a_canary_without_pods_has_no_numbers(asking: Asking) -> None:
    assert [asking(gate["query"]) for gate in (ERROR_RATE, LATENCY)] == [[], []]
    assert asking(ERROR_RATE["traffic"]["query"]) == []


@pytest.mark.parametrize(
    ("tag", "broken"), [(GOOD, [False, False]), (ERRORS, [True, False]), (SLOW, [False, True])]
)
def test_the_gates_of_the_example_hold_or_break_by_what_the_image_says(
    asking: Asking, space: Space, tag: str, broken: list[bool]
) -> None:
    bring_out(space, tag)
    assert [asking.breaks(gate) for gate in (ERROR_RATE, LATENCY)] == broken


def test_the_traffic_follows_the_weights_of_the_route(asking: Asking, space: Space) -> None:
    bring_out(space, GOOD)
    query = ERROR_RATE["traffic"]["query"]
    [canary], [stable] = asking(query), asking(query.replace("$canary", "$stable"))
    assert canary * 9 == pytest.approx(stable)
    assert canary >= ERROR_RATE["traffic"]["atLeast"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "up",
        "max(rate(http_requests_total{}[2m]))",
        "sum(rate(http_requests_total{namespace=web}[2m]))",
        'sum(rate(http_requests_total{status=~"("}[2m]))',
        "sum(rate(a{}[2m])) / sum(rate(b{}[2m])) / sum(rate(c{}[2m]))",
        "(sum(rate(a{}[2m])))",
        "sum(rate(a{}[2m])) or vector(0)",
    ],
)
def test_a_query_that_is_not_understood_is_refused_as_one(query: str) -> None:
    with pytest.raises(UnknownQueryError):
        value(query, [({"__name__": "http_requests_total"}, 1.0)])


def test_what_never_happened_is_none_where_the_query_says_so() -> None:
    served = [({"__name__": "http_requests_total", "status": "200"}, 4.0)]
    errors = 'sum(rate(http_requests_total{status="500"}[2m]))'
    every = "sum(rate(http_requests_total{}[2m]))"
    assert value(f"{errors} / {every}", served) is None
    assert value(f"({errors} or vector(0)) / {every}", served) == 0
    assert value(f"({errors} or vector(0)) / {every}", []) is None


def test_a_refused_query_is_told_as_prometheus_tells_it(practice: Practice, space: Space) -> None:
    with pytest.raises(PermanentError, match="understands sum") as refused:
        Asking(practice, space)("up")
    assert refused.value.code == BAD_QUERY


def test_a_quantile_is_interpolated_within_its_bucket() -> None:
    counts = dict.fromkeys(BOUNDS, 10.0) | {0.05: 0.0, 0.1: 4.0, 0.2: 8.0}
    buckets = [({"__name__": BUCKETS, "le": str(bound)}, count) for bound, count in counts.items()]
    query = f"histogram_quantile({{}}, sum by (le) (rate({BUCKETS}{{}}[2m])))"
    assert value(query.replace("{}", "0.5", 1), buckets) == pytest.approx(0.125)
    assert value(query.replace("{}", "0.9", 1), buckets) == pytest.approx(0.25)
