"""Messages leave in workers; the sweep finds what nobody was told about."""

import time

from portal import jobs
from portal.outbox import operations

# Claimed together; whoever takes them may die, and they are held for a while.
MOST_AT_ONCE = 20
# One job delivers for so long and hands over to the next: rollouts wait in the same queue.
BUDGET_SECONDS = 0.2


@jobs.job
def send_due() -> None:
    """Deliver what is due, and what comes behind it."""
    ends_at = time.monotonic() + BUDGET_SECONDS
    while operations.deliver_due(most=MOST_AT_ONCE, ends_at=ends_at):
        if time.monotonic() > ends_at:
            jobs.enqueue("portal.outbox.jobs.send_due")
            return


@jobs.sweep(every_seconds=2)
def nudge_what_is_due() -> None:
    """Ask for the delivery of everything whose time has come."""
    if operations.is_due():
        jobs.enqueue("portal.outbox.jobs.send_due")
