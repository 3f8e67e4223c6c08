"""What a watch has measured so far and how long it goes on, for the doors that show it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext_lazy as _

from portal.ui.charts import Spark, lay_spark
from releases.catalog import units, watches
from releases.rollouts import texts
from releases.rollouts.models import Step
from releases.rollouts.states import StepState

# How a measurement is drawn, and by which state's shape and word its verdict is shown.
TONES = {"good": "good", "bad": "bad", "unclear": "wait"}
STATES = {"good": StepState.SUCCEEDED, "bad": StepState.FAILED, "unclear": StepState.INCONCLUSIVE}
VERDICTS = {"good": _("passed"), "bad": _("breached"), "unclear": _("no clear result")}
LIMITS = ("min", "max")


@dataclass(frozen=True, kw_only=True)
class WatchedGate:
    """A gate with what was measured last; `state` is the step's state that its verdict looks like."""

    name: str
    text: str
    limit: str
    state: str
    verdict: str
    spark: Spark | None
    points: tuple[tuple[str, float | None, str], ...]

    @property
    def label(self) -> str:
        """The picture in words."""
        return f"{self.name}: {self.text}"


def gates_of(step: Step) -> tuple[WatchedGate, ...]:
    """The gates of a watch as they were seen last."""
    if step.kind != watches.KIND:
        return ()
    kept = step.observed.get("gates") or []
    documents = step.params.get("gates") or []
    return tuple(_gate(document, each) for document, each in zip(documents, kept, strict=False))


def ends_at(step: Step) -> datetime | None:
    """When a watch that runs is over; None for anything else."""
    if step.kind != watches.KIND or step.state != StepState.RUNNING or step.started_at is None:
        return None
    return step.started_at + timedelta(seconds=watches.watched_seconds(step.params))


def shape(step: Step) -> list[dict[str, Any]]:
    """The gates of a watch as the API gives them."""
    return [
        {
            "name": gate.name,
            "state": gate.state,
            "text": gate.text,
            "limit": gate.limit,
            "points": gate.points,
        }
        for gate in gates_of(step)
    ]


def spark_of(points: list[Any], document: dict[str, Any]) -> Spark | None:
    """Draw what was measured between its limits; None where nothing was yet."""
    if not points:
        return None
    limits = [document[key] for key in LIMITS if key in document]
    return lay_spark([(value, TONES[result]) for _at, value, result in points], limits)


def _gate(document: dict[str, Any], kept: dict[str, Any]) -> WatchedGate:
    points = kept.get("points") or []
    result = points[-1][2] if points else ""
    signs = {"min": "≥", "max": "≤"}
    limits = [
        f"{signs[key]} {units.written(document[key], document.get('unit', ''), exact=True)}"
        for key in LIMITS
        if key in document
    ]
    return WatchedGate(
        name=texts.gate_name(kept),
        text=texts.measured(kept.get("seen") or {}),
        limit=", ".join(limits),
        state=STATES.get(result, StepState.WAITING),
        verdict=str(VERDICTS.get(result, "")),
        spark=spark_of(points, document),
        points=tuple((at, value, verdict) for at, value, verdict in points),
    )
