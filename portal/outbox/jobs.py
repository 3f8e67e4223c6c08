"""Messages leave in workers; the sweep finds what nobody was told about."""

import time

from portal import clock, jobs
from portal.outbox import operations

MOST_AT_ONCE = 200
# One job delivers for so long and hands over to the next: rollouts wait in the same queue.
BUDGET_SECONDS = 0.2


@jobs.job
def send_due() -> None:
    """Deliver what is due, the first of each recipient, and ask for what comes behind."""
    ends_at = time.monotonic() + BUDGET_SECONDS
    with clock.counting_on(clock.now()):
        for pk in operations.due(clock.now(), limit=MOST_AT_ONCE):
            operations.deliver(pk)
            if time.monotonic() > ends_at:
                break
        nudge_what_is_due()


@jobs.sweep(every_seconds=2)
def nudge_what_is_due() -> None:
    """Ask for the delivery of everything whose time has come."""
    if operations.due(clock.now(), limit=1):
        jobs.enqueue("portal.outbox.jobs.send_due")
