"""A device of the demo: what a Prometheus would measure of the traffic on the practice cluster.

It answers instant queries (`/api/v1/query`) of two metrics, `http_requests_total` and
`http_request_duration_seconds_bucket`, in the forms that the gates of the examples use: a sum of rates, a
quotient of two such sums (each, in brackets, with `or vector(0)`), and a quantile of a histogram. Any other
query is refused as one.

Every HTTPRoute gets the same stream of requests, dealt to its Services by their weights and to the ready pods
of each evenly. Of an image, the label `practice/errors` says which share of its answers is a 500, and
`practice/latency` how many seconds an answer takes on average.
"""

import math
import re
from collections.abc import Iterator
from itertools import pairwise

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from portal.embedded.cluster import clock, kinds
from portal.embedded.cluster.applications import ready_pods
from portal.embedded.cluster.controllers import ownership
from portal.embedded.cluster.images import Images
from portal.embedded.cluster.store import Object, Store

REQUESTS, BUCKETS = "http_requests_total", "http_request_duration_seconds_bucket"
ROUTE_PER_SECOND = 40.0
ERRORS, USUAL_ERRORS = "practice/errors", 0.002
LATENCY, USUAL_LATENCY = "practice/latency", 0.06
BOUNDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0, 2.5, 5.0, 10.0, math.inf)

Labels = dict[str, str]
Series = tuple[Labels, float]
SELECTOR = r"(?P<metric>\w+)\{(?P<matchers>[^{}]*)\}\[\d+[smh]\]"
SUM = re.compile(rf"(?P<or_none>\()?sum\(rate\({SELECTOR}\)\)(?(or_none)orvector\(0\)\))")
QUANTILE = re.compile(rf"histogram_quantile\((?P<quantile>0?\.\d+),sumby\(le\)\(rate\({SELECTOR}\)\)\)")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"\\]*)",?')
MATCHERS = re.compile(rf"(?:{MATCHER.pattern})*")


class UnknownQueryError(Exception):
    """It is none of the forms that are understood."""


class Prometheus:
    """The ASGI application; no sign-in, no history."""

    def __init__(self, store: Store, images: Images) -> None:
        self._store = store
        self._images = images

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        response = self._answer(Request(scope, receive))
        await response(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        if request.method != "GET" or request.url.path != "/api/v1/query":
            return JSONResponse({"error": "only GET /api/v1/query is answered here"}, status_code=404)
        try:
            found = value(request.query_params.get("query", ""), list(self._measured()))
        except UnknownQueryError as error:
            said = {"status": "error", "errorType": "bad_data", "error": str(error)}
            return JSONResponse(said, status_code=400)
        points = [] if found is None else [[clock.now().timestamp(), _written(found)]]
        data = {"resultType": "vector", "result": [{"metric": {}, "value": each} for each in points]}
        return JSONResponse({"status": "success", "data": data})

    def _measured(self) -> Iterator[Series]:
        for route in self._store.every(kinds.HTTPROUTES):
            for rule in route["spec"].get("rules") or []:
                yield from self._of_rule(route["metadata"]["namespace"], rule.get("backendRefs") or [])

    def _of_rule(self, namespace: str, backends: list[Object]) -> Iterator[Series]:
        total = sum(each.get("weight", 1) for each in backends)
        for each in backends:
            pods = ready_pods(self._store, (namespace, each["name"]))
            for pod in pods if total else ():
                yield from self._of_pod(pod, ROUTE_PER_SECOND * each.get("weight", 1) / total / len(pods))

    def _of_pod(self, pod: Object, per_second: float) -> Iterator[Series]:
        marks = self._images.labels_of(pod["spec"]["containers"][0]["image"])
        errors = float(marks.get(ERRORS, USUAL_ERRORS))
        latency = float(marks.get(LATENCY, USUAL_LATENCY))
        labels = {"namespace": pod["metadata"]["namespace"], "deployment": self._deployment(pod)}
        for status, share in (("200", 1 - errors), ("500", errors)):
            yield {**labels, "__name__": REQUESTS, "status": status}, per_second * share
        for bound in BOUNDS:
            # Waiting times spread exponentially around their average.
            share = 1 - math.exp(-bound / latency)
            yield {**labels, "__name__": BUCKETS, "le": _written(bound)}, per_second * share

    def _deployment(self, pod: Object) -> str:
        owner = ownership.controller_of(pod) or {}
        found = self._store.get(kinds.REPLICASETS, pod["metadata"]["namespace"], owner.get("name", ""))
        return (ownership.controller_of(found) or {}).get("name", "") if found else ""


def value(query: str, measured: list[Series]) -> float | None:
    """The value of a query at this moment; None where there is no such series.

    Raises:
        UnknownQueryError: it is none of the forms that are understood.
    """
    parts = "".join(query.split()).split(")/")
    texts = [f"{each})" for each in parts[:-1]] + parts[-1:]
    if len(texts) > 2:
        raise UnknownQueryError("the demo's Prometheus divides once at most")
    values = [_term(each, measured) for each in texts]
    if None in values:
        return None
    first, *second = [each for each in values if each is not None]
    return _quotient(first, second[0]) if second else first


def _quotient(first: float, second: float) -> float:
    """PromQL divides by nought as IEEE 754 does; here nothing is below nought."""
    if second:
        return first / second
    return math.inf if first else math.nan


def _term(text: str, measured: list[Series]) -> float | None:
    if found := SUM.fullmatch(text):
        rates = [rate for _labels, rate in _selected(found, measured)]
        return sum(rates) if rates or found["or_none"] else None
    if found := QUANTILE.fullmatch(text):
        return _quantile(float(found["quantile"]), _selected(found, measured))
    raise UnknownQueryError(
        "the demo's Prometheus understands sum(rate(…[2m])), a quotient of two of them, and "
        f"histogram_quantile(0.95, sum by (le) (rate(…[2m]))), not {text}"
    )


def _selected(found: re.Match[str], measured: list[Series]) -> list[Series]:
    if not MATCHERS.fullmatch(found["matchers"]):
        raise UnknownQueryError(f"these are no matchers: {found['matchers']}")
    matchers = [("__name__", "=", found["metric"]), *MATCHER.findall(found["matchers"])]
    return [each for each in measured if all(_fits(each[0].get(name, ""), *rest) for name, *rest in matchers)]


def _fits(has: str, sign: str, wanted: str) -> bool:
    """Whether a label fits; expressions stand for the whole of it.

    Raises:
        UnknownQueryError: the expression is none.
    """
    try:
        equal = bool(re.fullmatch(wanted, has)) if "~" in sign else has == wanted
    except re.error as error:
        raise UnknownQueryError(f"{wanted} is no expression: {error}") from error
    return equal != sign.startswith("!")


def _quantile(quantile: float, buckets: list[Series]) -> float | None:
    """Interpolate within the bucket in which the quantile falls, as Prometheus does."""
    counts = dict.fromkeys((0.0, *BOUNDS), 0.0)
    for labels, rate in buckets:
        counts[float(labels["le"])] += rate
    wanted = quantile * counts[math.inf]
    if not buckets:
        return None
    for (low, below), (high, until) in pairwise(counts.items()):
        if until >= wanted and math.isfinite(high):
            return low + (high - low) * (wanted - below) / (until - below)
    return BOUNDS[-2]


def _written(number: float) -> str:
    """JSON has neither NaN nor infinity."""
    if math.isinf(number):
        return "+Inf"
    return "NaN" if math.isnan(number) else f"{number:g}"
