"""How a plan lets a metric be watched, and what it means where it does not say."""

from collections.abc import Mapping
from typing import Any

KIND = "prometheus"
EVERY_SECONDS = 30
MEASUREMENTS = 3
# After so many measurements in a row that gave no result a person is asked.
UNCLEAR_AT_MOST = 3


def every_seconds(step: Mapping[str, Any]) -> int:
    """The time from one measurement to the next."""
    return int(step.get("everySeconds") or EVERY_SECONDS)


def measurements(step: Mapping[str, Any]) -> int:
    """How many must be good."""
    return int(step.get("measurements") or MEASUREMENTS)


def watched_seconds(step: Mapping[str, Any], *, unclear: int = 0) -> int:
    """How long it takes from the first measurement to the last.

    Args:
        unclear: how many of them give no result.
    """
    return every_seconds(step) * (measurements(step) - 1 + unclear)
