"""How a plan lets something be watched for a time, and what it means where it does not say."""

from collections.abc import Mapping
from typing import Any

from releases.catalog import metrics

KIND = "watch"


def watched_seconds(step: Mapping[str, Any]) -> int:
    """How long it is watched."""
    return int(step.get("seconds") or int(step.get("minutes") or 0) * 60)


def every_seconds(step: Mapping[str, Any]) -> int:
    """The time from one measurement of a gate to the next."""
    return metrics.every_seconds(step)


def failure_limit(step: Mapping[str, Any]) -> int:
    """How many measurements of a gate may be bad."""
    return int(step.get("failureLimit") or 0)


def measured_seconds(step: Mapping[str, Any]) -> int:
    """How long its measurements may take, with gates that are not green at the end and are measured again."""
    more = metrics.UNCLEAR_AT_MOST + failure_limit(step) + 1 if step.get("gates") else 0
    return watched_seconds(step) + every_seconds(step) * more
