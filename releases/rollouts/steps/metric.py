"""A gate on what Prometheus measures: several good measurements in a row of time, or the first bad one.

Nothing measured, NaN and too little traffic are inconclusive, never good (protocols.md, "Prometheus").
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from portal import clock
from portal.errors import PermanentError, TemporaryError
from portal.integrations.http.client import Allow
from portal.integrations.prometheus.client import BAD_QUERY, Server, values, worst
from portal.sentences import kept
from releases.catalog import metrics
from releases.catalog.models import Connection, ConnectionKind
from releases.catalog.references import address_of, value_of
from releases.rollouts.steps.kind import Json, Outcome, Planned, StepKind, Verdict, Work, done, failed, wait

POINTS_KEPT = 60
LITTLE_TRAFFIC = "little_traffic"
NAMES = re.compile(r"\$(namespace|service|environment|canary|stable)\b")


class Result(StrEnum):
    """What one measurement came to."""

    GOOD = "good"
    BAD = "bad"
    UNCLEAR = "unclear"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One measurement; `value` is NaN where there was none, `reason` says why it is unclear or bad."""

    value: float
    result: Result
    reason: str = ""
    args: Mapping[str, float] | None = None

    def told(self, params: Mapping[str, Any]) -> Json:
        """What is said of it, with the unit that the plan names; how much traffic there was has another."""
        unit = params.get("unit") if self.reason != LITTLE_TRAFFIC else None
        return {**(self.args or {}), **_known(value=self.value), **({"unit": unit} if unit else {})}


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What is good.

    Attributes:
        most, least: of the value itself.
        most_of, least_of: of the value as a multiple of what it is compared with.
        traffic: what there must be at least of it, for the value to say anything.
    """

    most: float | None = None
    least: float | None = None
    most_of: float | None = None
    least_of: float | None = None
    traffic: float | None = None

    @property
    def high_is_bad(self) -> bool:
        """Which of several series is the worst."""
        return self.most is not None or self.most_of is not None


def judge(bounds: Bounds, value: float, *, other: float = math.nan, traffic: float = math.nan) -> Measured:
    """Judge one measurement.

    Args:
        other: what it is compared with, measured at the same time.
        traffic: how much there was of it.
    """
    if bounds.traffic is not None and not traffic >= bounds.traffic:
        return _unclear(value, LITTLE_TRAFFIC, traffic=traffic, limit=bounds.traffic)
    if math.isnan(value):
        return _unclear(value, "no_data")
    if _beyond(value, bounds.least, bounds.most):
        limit = bounds.most if bounds.most is not None and value > bounds.most else bounds.least
        return _bad(value, "beyond", value=value, limit=limit)
    if bounds.most_of is None and bounds.least_of is None:
        return Measured(value=value, result=Result.GOOD)
    return _compared(bounds, value, other)


def _compared(bounds: Bounds, value: float, other: float) -> Measured:
    """Nothing is a multiple of nought: only an equal nought is known to be no worse."""
    if math.isnan(other):
        return _unclear(value, "nothing_to_compare")
    if other == 0:
        equal = value == 0
        return Measured(value=value, result=Result.GOOD) if equal else _unclear(value, "compared_with_none")
    if _beyond(value / other, bounds.least_of, bounds.most_of):
        return _bad(value, "beyond_other", value=value, other=other)
    return Measured(value=value, result=Result.GOOD)


def _beyond(value: float, least: float | None, most: float | None) -> bool:
    return (least is not None and value < least) or (most is not None and value > most)


def _unclear(value: float, reason: str, **args: float) -> Measured:
    return Measured(value=value, result=Result.UNCLEAR, reason=reason, args=_known(**args))


def _bad(measured: float, reason: str, **args: float | None) -> Measured:
    return Measured(value=measured, result=Result.BAD, reason=reason, args=_known(**args))


def _known(**args: float | None) -> dict[str, float]:
    """JSON has no NaN and no infinity."""
    return {key: value for key, value in args.items() if value is not None and math.isfinite(value)}


class Metric(StepKind):
    """Asks Prometheus every so often, until enough was good or something was bad."""

    name = metrics.KIND
    measures = True

    def plan(self, work: Work) -> Planned:
        """Ask once, so that an unknown connection or a query that is none is named before the start."""
        _measure(work)
        return Planned()

    def measure(self, work: Work) -> Outcome:
        """Measure once: a good step has counted its measurements already."""
        measured = _measure(work)
        args = measured.told(work.step.params)
        if measured.result == Result.BAD:
            return failed(f"metric_{measured.reason}", args=args)
        if measured.result == Result.UNCLEAR:
            observed = {"code": f"metric_{measured.reason}", "args": args}
            return Outcome(verdict=Verdict.INCONCLUSIVE, observed=observed)
        return done("metric_now", args=args)

    def observe(self, work: Work) -> Outcome:
        """Measure when it is time to, and count."""
        every = metrics.every_seconds(work.step.params)
        seen = work.step.observed
        now = clock.now()
        due_in = _due_in(seen, every, now)
        if due_in > 0:
            return Outcome(verdict=Verdict.WAIT, observed=seen, wake_seconds=due_in)
        try:
            measured = _measure(work)
        except TemporaryError as error:
            args = {"message": kept(error.detail)}
            return wait("no_answer", seconds=every, **_kept(seen), args=args, unmeasured=True)
        except PermanentError as error:
            failure = {"code": error.code, "message": kept(error.detail)}
            return Outcome(verdict=Verdict.ERRORED, failure=failure)
        return _counted(work, measured, _kept(seen, measured, now), every)


def _due_in(seen: Json, every: int, now: datetime) -> float:
    points = seen.get("points") or []
    if not points or seen.get("unmeasured"):
        return 0.0
    return every - (now - datetime.fromisoformat(points[-1][0])).total_seconds()


def _kept(seen: Json, measured: Measured | None = None, now: datetime | None = None) -> Json:
    """What was measured so far: [[time, value or null, result]], and how many of it counts."""
    points = list(seen.get("points") or [])
    good, unclear = int(seen.get("good") or 0), int(seen.get("unclear") or 0)
    if measured is not None and now is not None:
        value = measured.value if math.isfinite(measured.value) else None
        points = [*points, [now.isoformat(), value, str(measured.result)]][-POINTS_KEPT:]
        good += measured.result == Result.GOOD
        unclear = unclear + 1 if measured.result == Result.UNCLEAR else 0
    return {"points": points, "good": good, "unclear": unclear}


def _counted(work: Work, measured: Measured, kept: Json, every: int) -> Outcome:
    wanted = metrics.measurements(work.step.params)
    args = {**measured.told(work.step.params), "count": kept["good"], "wanted": wanted}
    if measured.result == Result.BAD:
        bad = failed(f"metric_{measured.reason}", args=args)
        return Outcome(verdict=bad.verdict, failure=bad.failure, observed={"code": "metric_bad", **kept})
    if measured.result == Result.UNCLEAR:
        code = f"metric_{measured.reason}"
        verdict = Verdict.INCONCLUSIVE if kept["unclear"] > metrics.UNCLEAR_AT_MOST else Verdict.WAIT
        return Outcome(verdict=verdict, observed={"code": code, "args": args, **kept}, wake_seconds=every)
    if kept["good"] >= wanted:
        return done("metric_good", args=args, **kept)
    return wait("metric_so_far", seconds=every, args=args, **kept)


def _measure(work: Work) -> Measured:
    params = work.step.params
    server = _server(work)
    bounds = _bounds(params)

    def ask(expression: str) -> float:
        return worst(values(server, _filled(expression, work)), high_is_bad=bounds.high_is_bad)

    compared, traffic = params.get("compare") or {}, params.get("traffic") or {}
    return judge(
        bounds,
        ask(params["query"]),
        other=ask(compared["query"]) if compared else math.nan,
        traffic=sum(values(server, _filled(traffic["query"], work))) if traffic else math.nan,
    )


def _bounds(params: Mapping[str, Any]) -> Bounds:
    compared, traffic = params.get("compare") or {}, params.get("traffic") or {}
    return Bounds(
        most=params.get("max"),
        least=params.get("min"),
        most_of=compared.get("max"),
        least_of=compared.get("min"),
        traffic=traffic.get("atLeast"),
    )


def _server(work: Work) -> Server:
    name = work.step.params["connection"]
    row = Connection.objects.filter(name=name, kind=ConnectionKind.PROMETHEUS).first()
    if row is None:
        text = _("There is no Connection named {name} of kind prometheus.").format(name=name)
        raise PermanentError(text, code=BAD_QUERY)
    url, token = address_of(row.spec["url"]), row.spec.get("tokenRef")
    # Who wrote the connection allowed its host; a private address needs its network besides.
    allow = Allow.of(hosts=[urlsplit(url).netloc], networks=row.spec.get("networks") or ())
    return Server(url=url, allow=allow, token=value_of(token) if token else "")


def _filled(expression: str, work: Work) -> str:
    """Write the names of what goes out into a query; Kubernetes lets none of them end a label's text."""
    service = work.step.service
    names = {
        "namespace": work.environment.namespace,
        "environment": work.environment.name,
        "service": service.name if service else "",
        # The two workloads of a canary, where one is watched.
        "canary": "",
        "stable": "",
        **(work.step.params.get("pair") or {}),
    }
    return NAMES.sub(lambda found: names[found[1]], expression)
