"""Counts that a Job reports of its work."""

from collections.abc import Mapping
from typing import Any

LARGEST = 2**62


def count_in(report: Mapping[str, Any], field: str) -> int | None:
    """Return a count from a report; None where there is none, or it is no count."""
    found = report.get(field)
    is_count = isinstance(found, int) and not isinstance(found, bool) and 0 <= found < LARGEST
    return found if is_count else None
