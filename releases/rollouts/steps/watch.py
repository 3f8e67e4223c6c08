"""Watches for a time whether gates stay green: passed when the time is over, failed by what was measured bad.

Without gates it only holds. Since when it watches is in the step's row, and so is all that was measured: a
worker that dies loses nothing (product.md, "What a rollout can do"; reference-systems.md 3).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from portal import clock
from releases.catalog import metrics, watches
from releases.catalog.models import Service
from releases.gates import Seen
from releases.models import GateResult
from releases.rollouts.models import Step
from releases.rollouts.steps import measurement
from releases.rollouts.steps.kind import Json, Outcome, Planned, StepKind, Verdict, Work, done, failed, wait
from releases.rollouts.tables import PARTS

POINTS_KEPT = 60
# Gates that are due are measured for so long in one look; the next look goes on with the others.
LOOK_SECONDS = 3.0
GOOD, BAD, UNCLEAR = "good", "bad", "unclear"
POINTS = {GateResult.PASSED: GOOD, GateResult.BREACHED: BAD}


class Watch(StepKind):
    """Measures its gates every so often until its time is over.

    Args:
        kinds: every kind of step by its name, to measure with.
    """

    name = watches.KIND

    def __init__(self, kinds: Mapping[str, StepKind]) -> None:
        self.kinds = kinds

    def plan(self, work: Work) -> Planned:
        """Say what is wrong with a gate as things stand."""
        for gate in _gates(work.step, {}):
            planned = self.kinds[gate.kind].plan(gate.work(work))
            if planned.error:
                return planned
        return Planned()

    def observe(self, work: Work) -> Outcome:
        """Measure what is due, and judge once the time is over."""
        step = work.step
        now = clock.now()
        since = step.started_at or now
        # What an earlier attempt saw does not count: its time began anew.
        seen = step.observed if step.observed.get("since") == since.isoformat() else {}
        gates = _gates(step, seen)
        self._measure(work, gates, now)
        ends = since + timedelta(seconds=watches.watched_seconds(step.params))
        kept = {"since": since.isoformat(), "gates": [gate.kept for gate in gates]}
        bad = next((gate for gate in gates if gate.bad > watches.failure_limit(step.params)), None)
        if bad is not None:
            breach = failed("gate_breached", gate=bad.facts, seen=bad.seen)
            return Outcome(
                verdict=breach.verdict, failure=breach.failure, observed={"code": "watch_bad", **kept}
            )
        if now < ends:
            return _watching(step, gates, now, ends, kept)
        return _judged(step, gates, now, kept)

    def _measure(self, work: Work, gates: Sequence[_Gate], now: datetime) -> None:
        until = time.monotonic() + LOOK_SECONDS
        for gate in gates:
            if gate.due_in(work.step, now) <= 0 and time.monotonic() < until:
                gate.take(measurement.look(self.kinds[gate.kind], gate.work(work)), now)


@dataclass(kw_only=True)
class _Gate:
    """A gate of the plan with what was measured of it: `points` are [[time, value or null, result]]."""

    key: str
    params: Json
    service: str
    points: list[list[Any]]
    seen: Json
    bad: int
    unclear: int
    errored: bool

    @property
    def kind(self) -> str:
        return str(self.params["kind"])

    @property
    def result(self) -> str:
        """What the last look at it came to; "" before the first."""
        return str(self.points[-1][2]) if self.points else ""

    @property
    def facts(self) -> Json:
        """By what people know it."""
        return {"kind": self.kind, "title": str(self.params.get("title") or ""), "service": self.service}

    @property
    def kept(self) -> Json:
        """What stays with the step's row."""
        names = ("points", "seen", "bad", "unclear", "errored")
        return {**self.facts, **{name: getattr(self, name) for name in names}}

    def due_in(self, step: Step, now: datetime) -> float:
        """Seconds until it is to be measured again."""
        if not self.points:
            return 0.0
        last = datetime.fromisoformat(self.points[-1][0])
        return watches.every_seconds(step.params) - (now - last).total_seconds()

    def take(self, seen: Seen, now: datetime) -> None:
        """Count a measurement."""
        said = seen.observed.get("failure") or seen.observed
        value = (said.get("args") or {}).get("value")
        result = POINTS.get(seen.result, UNCLEAR)
        self.points = [*self.points, [now.isoformat(), value, result]][-POINTS_KEPT:]
        self.seen, self.errored = seen.observed, seen.result == GateResult.ERRORED
        self.bad += result == BAD
        self.unclear = self.unclear + 1 if result == UNCLEAR else 0

    def step(self, watch: Step) -> Step:
        """The gate as a step of its kind, about what the watch is about unless it names another service."""
        service = Service.objects.filter(name=self.service).first() if self.service else watch.service
        about = {} if self.service else {key: watch.params[key] for key in PARTS & watch.params.keys()}
        return Step(
            rollout_id=watch.rollout_id,
            key=self.key,
            position=watch.position,
            kind=self.kind,
            service=service,
            params={**self.params, **about},
            observed=self.seen,
            state=watch.state,
            started_at=watch.started_at,
            ended_at=watch.ended_at,
        )

    def work(self, work: Work) -> Work:
        """What a step of the gate's kind would look at."""
        return replace(work, step=self.step(work.step))


def gates_of(step: Step) -> list[Step]:
    """The gates of a watch, each as a step of its kind with what was seen of it last."""
    return [gate.step(step) for gate in _gates(step, step.observed)] if step.kind == watches.KIND else []


def _gates(step: Step, seen: Json) -> list[_Gate]:
    """The plan's gates with what was measured of them so far."""
    kept: list[Json] = seen.get("gates") or []
    gates = []
    for number, document in enumerate(step.params.get("gates") or []):
        so_far = kept[number] if number < len(kept) else {}
        gates.append(
            _Gate(
                key=f"{step.key}.{number}",
                params=document,
                service=_other(step, document),
                points=list(so_far.get("points") or []),
                seen=dict(so_far.get("seen") or {}),
                bad=int(so_far.get("bad") or 0),
                unclear=int(so_far.get("unclear") or 0),
                errored=bool(so_far.get("errored")),
            )
        )
    return gates


def _other(step: Step, document: Json) -> str:
    """Whose health a gate asks, where that is not the step's own service."""
    named = str(document.get("service") or "") if document["kind"] == "health" else ""
    return named if step.service is None or named != step.service.name else ""


def _watching(step: Step, gates: Sequence[_Gate], now: datetime, ends: datetime, kept: Json) -> Outcome:
    left = (ends - now).total_seconds()
    due = min((gate.due_in(step, now) for gate in gates), default=left)
    args = {"good": sum(gate.result == GOOD for gate in gates), "count": len(gates)}
    code = "watching" if gates else "holding"
    return wait(code, seconds=max(0.0, min(due, left)), args=args, **kept)


def _judged(step: Step, gates: Sequence[_Gate], now: datetime, kept: Json) -> Outcome:
    """The time is over: passed with every gate green, else measured some times more, then asked."""
    open_gate = next((gate for gate in gates if gate.result != GOOD), None)
    if open_gate is None:
        args = {"seconds": watches.watched_seconds(step.params)}
        return done("watched" if gates else "held", args=args, **kept)
    said = {"gate": open_gate.facts, "seen": open_gate.seen}
    is_late = step.deadline_at is not None and now >= step.deadline_at
    if not is_late and max(gate.unclear for gate in gates) <= metrics.UNCLEAR_AT_MOST:
        seconds = max(0.0, min(gate.due_in(step, now) for gate in gates))
        return wait("watch_goes_on", seconds=seconds, **said, **kept)
    if any(gate.errored for gate in gates):
        failure = {"code": "watch_unmeasured", **said}
        return Outcome(verdict=Verdict.ERRORED, failure=failure, observed=kept)
    return Outcome(verdict=Verdict.INCONCLUSIVE, observed={"code": "watch_unclear", **said, **kept})
