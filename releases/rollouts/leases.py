"""Who may write to a rollout: a lease with a rising epoch, asked again under the row's lock at every write.

A worker that was stopped, cut off or slow for longer than its lease finds that its epoch is old and ends;
what it did to the cluster meanwhile is found again by the marks it left there (attacks.md, section 3).
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from portal import clock, env
from releases.models import Release
from releases.rollouts.models import Order, Rollout
from releases.rollouts.states import HALTING_ORDERS

# Longer than any single call to a cluster may take: a worker that waits for an answer keeps its lease.
LEASE_SECONDS = env.integer("LEASE_SECONDS", 15)
RENEW_BELOW_SECONDS = LEASE_SECONDS * 2 // 3


class LeaseLost(Exception):
    """Another worker took over; nothing more may be written by this one."""


class OrdersWait(Exception):
    """Someone asked for a halt: nothing new may begin before that is honoured."""


@dataclass
class Lease:
    """The right to write to one rollout; `nudges` is how many were counted when the present pass began."""

    rollout_id: int
    owner: str
    epoch: int
    nudges: int


def take(rollout_id: int) -> Lease | None:
    """Take the lease, or count a nudge for whoever holds it and return None."""
    with transaction.atomic():
        rollout = Rollout.objects.select_for_update().filter(pk=rollout_id).first()
        if rollout is None:
            return None
        now = clock.now()
        if rollout.lease_until is not None and rollout.lease_until > now:
            rollout.nudges += 1
            rollout.save(update_fields=["nudges"])
            return None
        rollout.lease_owner = f"{socket.gethostname()}:{os.getpid()}"
        rollout.lease_epoch += 1
        rollout.lease_until = now + timedelta(seconds=LEASE_SECONDS)
        rollout.save(update_fields=["lease_owner", "lease_epoch", "lease_until"])
        return Lease(rollout.pk, rollout.lease_owner, rollout.lease_epoch, rollout.nudges)


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
        # Parent before child: approvals and edits lock the release first as well.
        Release.objects.select_for_update(of=("self",)).values_list("pk").get(rollouts=lease.rollout_id)
        # Only these two: the environment is locked before the release by people, so never after it here.
        rollouts = Rollout.objects.select_for_update(of=("self",))
        row = rollouts.select_related("release__environment", "environment__cluster").get(pk=lease.rollout_id)
        now = clock.now()
        if row.lease_epoch != lease.epoch or row.lease_until is None or row.lease_until <= now:
            raise LeaseLost
        if halts and halted(row):
            raise OrdersWait
        if row.lease_until < now + timedelta(seconds=RENEW_BELOW_SECONDS):
            row.lease_until = now + timedelta(seconds=LEASE_SECONDS)
            row.save(update_fields=["lease_until"])
        yield row


def halted(rollout: Rollout) -> bool:
    """Whether a pause, a stop or a rollback was asked for and waits to be honoured."""
    return Order.objects.filter(rollout=rollout, honoured_at=None, kind__in=HALTING_ORDERS).exists()


def release(lease: Lease, *, wake_at: datetime | None, yielding: bool = False) -> bool:
    """Give the lease back and say when to look again; False when a nudge came in meanwhile: look once more.

    Args:
        yielding: give it back in any case, as another job goes on.

    Raises:
        LeaseLost: another worker took over.
    """
    with writing(lease) as rollout:
        waiting = Order.objects.filter(rollout=rollout, honoured_at=None).exists()
        if (rollout.nudges != lease.nudges or waiting) and not yielding:
            lease.nudges = rollout.nudges
            return False
        rollout.lease_owner = ""
        rollout.lease_until = None
        rollout.wake_at = wake_at
        rollout.save(update_fields=["lease_owner", "lease_until", "wake_at"])
        return True
