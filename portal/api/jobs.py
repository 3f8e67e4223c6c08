"""Clearing up behind the API."""

from portal import jobs
from portal.api import idempotency


@jobs.sweep(every_seconds=3600)
def forget_old_answers() -> None:
    """Delete kept answers that are two days old."""
    idempotency.forget_old()
