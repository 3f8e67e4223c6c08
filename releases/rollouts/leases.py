"""Who may write to a rollout: a lease with a rising epoch, asked again under the row's lock at every write.

A worker that was stopped, cut off or slow for longer than its lease finds that its epoch is old and ends;
what it did to the cluster meanwhile is found again by the marks it left there (attacks.md, section 3).
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction

from portal import clock, env
from portal.holding import holding
from portal.statements import Given, Question, Statement, save
from releases.models import Release
from releases.rollouts.models import Order, Rollout
from releases.rollouts.states import HALTING_ORDERS

# Longer than any single call to a cluster may take: a worker that waits for an answer keeps its lease.
LEASE_SECONDS = env.integer("LEASE_SECONDS", 15)
RENEW_BELOW_SECONDS = LEASE_SECONDS * 2 // 3
# Who looks for long without writing anything asks for it so often.
KEEP_SECONDS = LEASE_SECONDS / 3
# Asked before every write, so that it reads no more than what may have changed since the lease was taken.
# Parent before child: approvals and edits lock the release first as well. PostgreSQL locks the rows of a join
# in the order of the list. The environment, which people lock first, is never locked here.
LOCK = Statement(
    Rollout,
    """
SELECT {columns}, releases_release.state, clock_timestamp()
FROM rollouts_rollout JOIN releases_release ON releases_release.number = rollouts_rollout.release_id
WHERE rollouts_rollout.id = %s FOR UPDATE OF releases_release, rollouts_rollout
""",
    table="rollouts_rollout",
    beside=("release_state", "read_at"),
)


# Taken, or a nudge counted for its holder, in one statement; who had it before says whether a round has died,
# and the rest is as it is now. Whether orders wait is as it was when the statement began, and so are the
# nudges counted by then: an order is both, and one that came while the lock was waited for is not taken for
# heard.
TAKE = Statement(
    Rollout,
    """
WITH found AS (SELECT id, lease_owner, lease_until FROM rollouts_rollout WHERE id = %s FOR UPDATE),
judged AS MATERIALIZED (
    SELECT id, lease_owner, lease_until IS NULL OR lease_until <= clock_timestamp() AS is_free FROM found
)
UPDATE rollouts_rollout AS row
SET lease_owner = CASE WHEN is_free THEN %s ELSE row.lease_owner END,
    lease_epoch = lease_epoch + is_free::int,
    lease_until = CASE WHEN is_free THEN clock_timestamp() + %s ELSE lease_until END,
    nudges = nudges + (NOT is_free)::int, heard_at = clock_timestamp()
FROM judged WHERE row.id = judged.id
RETURNING {columns}, is_free, judged.lease_owner, clock_timestamp(),
    (SELECT nudges FROM rollouts_rollout AS before WHERE before.id = row.id),
    EXISTS (SELECT FROM rollouts_order WHERE rollout_id = row.id AND honoured_at IS NULL)
""",
    table="row",
    beside=("taken", "held_by", "read_at", "nudges_then", "orders_wait"),
)
# Given back in one statement where nobody nudged meanwhile and the lease is still this one.
GIVE_BACK = """
UPDATE rollouts_rollout SET lease_owner = '', lease_until = NULL, stumble = NULL, wake_at = %s
WHERE id = %s AND lease_epoch = %s AND lease_until IS NOT NULL AND (nudges = %s OR %s)
"""
# The content is large, and compared with nothing here: a seal is computed anew from the rows.
AROUND = Question(
    lambda: (
        Release.objects.select_related("environment__cluster")
        .defer("content", "environment__source", "environment__cluster__source")
        .filter(pk=Given("number"))
    )
)


class LeaseLost(Exception):
    """Another worker took over; nothing more may be written by this one."""


class OfANewerPortal(Exception):
    """There is something in the rollout that only a newer version of the portal understands."""


class OrdersWait(Exception):
    """Someone asked for a halt: nothing new may begin before that is honoured."""


@dataclass
class Lease:
    """The right to write to one rollout.

    Attributes:
        rollout: the row as it was last seen under its lock, and its release's state with it; the environment
            and all else of the release are as they were when the lease was taken.
        epoch: the fencing token.
        taken_at: the database's time then.
        nudges: how many were counted when the present pass began.
        heard: how many were counted when the orders were last read: each order is a nudge as well.
        reaching: an order is on its way to the cluster; those behind it were read, and are not honoured yet.
        asked_at: when it was last taken or asked for, by this process's own counter.
        dead: the holder before, where that never gave it back.
        under_watch: rounds broke off of late, so that this one says beforehand what it is at.
    """

    rollout: Rollout
    epoch: int
    taken_at: datetime
    nudges: int
    heard: int = -1
    reaching: bool = False
    asked_at: float = field(default_factory=time.monotonic)
    dead: str = ""
    under_watch: bool = False

    @property
    def rollout_id(self) -> int:
        """The key of the rollout."""
        return self.rollout.pk


def take(rollout_id: int) -> Lease | None:
    """Take the lease, or count a nudge for whoever holds it and return None."""
    lasts = timedelta(seconds=LEASE_SECONDS)
    found = TAKE.ask(rollout_id, _owner(), lasts)
    if not found or not found[0].taken:  # type: ignore[attr-defined]  # annotated
        return None
    (rollout,) = found
    _read_around(rollout)
    now: datetime = rollout.read_at  # type: ignore[attr-defined]  # annotated
    lease = _lease_of(rollout, now, dead=rollout.held_by)  # type: ignore[attr-defined]  # annotated
    if not rollout.orders_wait:  # type: ignore[attr-defined]  # annotated
        lease.heard = rollout.nudges_then  # type: ignore[attr-defined]  # annotated
    return lease


def held_here(rollout_id: int) -> Lease | None:
    """Return the lease that this process still holds, if it does."""
    rollout = Rollout.objects.filter(pk=rollout_id, lease_owner=_owner()).first()
    if rollout is None:
        return None
    _read_around(rollout)
    return _lease_of(rollout, clock.now())


def _lease_of(rollout: Rollout, now: datetime, *, dead: str = "") -> Lease:
    return Lease(
        rollout,
        rollout.lease_epoch,
        now,
        rollout.nudges,
        dead=dead,
        under_watch=bool(dead) or rollout.stumble is not None,
    )


def _read_around(rollout: Rollout) -> None:
    """Read all that the engine reads of what is around a rollout; both are of the same environment."""
    (rollout.release,) = AROUND.ask(number=rollout.release_id)
    rollout.environment = rollout.release.environment


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


@contextlib.contextmanager
def writing(lease: Lease, *, halts: bool = False) -> Iterator[Rollout]:
    """Open a transaction in which this worker may write, with the release and the rollout locked.

    Args:
        halts: refuse when a pause, a stop or a rollback was asked for and not yet honoured; given wherever
            something is about to begin.

    Raises:
        LeaseLost: another worker took over.
        OrdersWait: see `halts`.
    """
    with transaction.atomic():
        row = _locked(lease.rollout)
        now: datetime = row.read_at  # type: ignore[attr-defined]  # annotated
        # One that ran out and was taken by nobody still stands: the epoch is what fences.
        if row.lease_epoch != lease.epoch or row.lease_until is None:
            raise LeaseLost
        lease.rollout, lease.asked_at = row, time.monotonic()
        if halts and halted(lease):
            raise OrdersWait
        if row.lease_until < now + timedelta(seconds=RENEW_BELOW_SECONDS):
            row.lease_until = now + timedelta(seconds=LEASE_SECONDS)
            save(row, ["lease_until"])
        with clock.counting_on(now), holding():
            yield row


def _locked(known: Rollout) -> Rollout:
    """Lock the release and the rollout and read the row anew; what is around it is taken over."""
    (row,) = LOCK.ask(known.pk)
    row.release, row.environment = known.release, known.environment
    row.release.state = row.release_state  # type: ignore[attr-defined]  # annotated
    return row


def keep(lease: Lease) -> None:
    """Renew the lease where nothing was written for a while.

    Raises:
        LeaseLost: another worker took over.
    """
    if time.monotonic() - lease.asked_at > KEEP_SECONDS:
        with writing(lease):
            pass


def say_at(lease: Lease, what: str) -> None:
    """Write down what is about to be done, where rounds broke off of late: "step:7", "order:3" or nothing.

    Raises:
        LeaseLost: another worker took over.
    """
    if not lease.under_watch:
        return
    with writing(lease) as rollout:
        rollout.stumble = {**(rollout.stumble or {}), "at": what}
        rollout.save(update_fields=["stumble"])


def halted(lease: Lease) -> bool:
    """Whether a pause, a stop or a rollback was asked for and waits to be honoured; asked under the lock."""
    if lease.heard == lease.rollout.nudges and not lease.reaching:
        return False
    # What is on its way to the cluster was honoured here already.
    waiting = Order.objects.filter(rollout=lease.rollout, honoured_at=None, reach__isnull=True)
    return waiting.filter(kind__in=HALTING_ORDERS).exists()


def release(lease: Lease, *, wake_at: Callable[[], datetime | None], yielding: bool = False) -> bool:
    """Give the lease back and say when to look again; False when a nudge came in meanwhile: look once more.

    Args:
        yielding: give it back in any case, as another job goes on.

    Raises:
        LeaseLost: another worker took over.
    """
    asked = [wake_at(), lease.rollout_id, lease.epoch, lease.nudges, yielding]
    with connection.cursor() as cursor:
        cursor.execute(GIVE_BACK, asked)
        if cursor.rowcount:
            return True
    with writing(lease) as rollout:
        lease.nudges = rollout.nudges
    return False


def leave(lease: Lease, *, seconds: float) -> None:
    """Leave the rollout as it was found to who understands it: a death before is still to be counted.

    Raises:
        LeaseLost: another worker took over.
    """
    with writing(lease) as rollout:
        rollout.lease_owner = lease.dead
        rollout.lease_until = None
        rollout.wake_at = clock.now() + timedelta(seconds=seconds)
        rollout.save(update_fields=["lease_owner", "lease_until", "wake_at"])


def hold_off(rollout: Rollout, *, seconds: float) -> None:
    """Give the lease back after a fault: nobody takes it for so long, then the sweep finds it."""
    rollout.lease_owner = ""
    rollout.lease_until = clock.now() + timedelta(seconds=seconds)
    rollout.save(update_fields=["lease_owner", "lease_until"])
