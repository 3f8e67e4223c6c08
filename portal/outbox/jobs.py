"""Messages leave in workers; the sweep finds what nobody was told about."""

from portal import clock, jobs
from portal.outbox import operations

MOST_AT_ONCE = 200


@jobs.job
def send(pk: int) -> None:
    """Deliver one message."""
    operations.deliver(pk)


@jobs.job
def send_due() -> None:
    """Ask for the delivery of everything whose time has come: one nudge for all that an act wrote."""
    nudge_what_is_due()


@jobs.sweep(every_seconds=2)
def nudge_what_is_due() -> None:
    """Ask for the delivery of everything whose time has come."""
    for pk in operations.due(clock.now(), limit=MOST_AT_ONCE):
        jobs.enqueue("portal.outbox.jobs.send", pk)
