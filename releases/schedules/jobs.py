"""The sweeps that find what is due by a schedule, and the job that carries a run on."""

from datetime import timedelta

from portal import clock
from portal.jobs import Failure, enqueue, job, on_failure, sweep
from releases.schedules import due, operations

CARRY_ON = "releases.schedules.jobs.carry_on"
KEPT = timedelta(days=90)


def broke_off(run_id: int, *, failure: Failure) -> None:
    """Say that a run broke off by a fault of our own."""
    operations.break_off(run_id, incident=failure.incident)


@on_failure(broke_off)
@job
def carry_on(run_id: int) -> None:
    """Do what a run has to do next."""
    from releases.schedules import work  # noqa: PLC0415  the sweeper needs no Kubernetes client

    work.carry_on(run_id)


@sweep(every_seconds=2)
def start_what_is_due() -> None:
    """Begin what is due, and look after what was begun; what got lost is found again after its claim."""
    due.follow_catalog()
    due.take_due()
    for pk in operations.claim_due():
        enqueue(CARRY_ON, pk)


@sweep(every_seconds=10)
def keep_backups() -> None:
    """Know the backups that rollouts have made."""
    operations.keep_backups_of_releases()


@sweep(every_seconds=3600)
def forget_old_runs() -> None:
    """Remove runs of long ago: every five minutes is a hundred thousand a year."""
    operations.forget_old_runs(clock.now() - KEPT)
