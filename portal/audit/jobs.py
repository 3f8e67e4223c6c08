"""The record is verified once a day and its head is signed every hour, without anybody asking."""

from datetime import timedelta

from portal import clock, jobs
from portal.audit import operations, queries

EVERY = timedelta(hours=24)


@jobs.job
def verify_piece(verification_id: int) -> None:
    """Take the next piece of a verification."""
    operations.verify_piece(verification_id)


@jobs.job
def sign() -> None:
    """Sign the head of the chain unless another worker has just done so."""
    operations.sign_when_due()


@jobs.sweep(every_seconds=20)
def sign_hourly() -> None:
    """Ask for a checkpoint when it is time for one."""
    if operations.is_signing_due():
        jobs.enqueue("portal.audit.jobs.sign")


@jobs.sweep(every_seconds=600)
def verify_daily() -> None:
    """Begin a verification when the last one is a day old."""
    last = queries.last_check()
    is_due = last is None or last.at <= clock.now() - EVERY
    if is_due and queries.head() is not None:
        operations.start_verification("")


@jobs.sweep(every_seconds=5)
def go_on_verifying() -> None:
    """Find a verification whose next piece got lost."""
    operations.go_on_verifying()
