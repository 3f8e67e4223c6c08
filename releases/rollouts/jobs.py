"""Nudges of the engine, and the sweep that finds what nobody nudged."""

from django.db.models import Q

from portal import clock
from portal.jobs import Failure, enqueue, job, on_failure, sweep
from releases.rollouts.models import Rollout
from releases.rollouts.states import ACTIVE, RolloutState


def broke_off(rollout_id: int, *, failure: Failure) -> None:
    """Count a round that raised; after some the step that it was at is parked."""
    from releases.rollouts import engine  # noqa: PLC0415  as below

    engine.broke_off(rollout_id, failure)


@on_failure(broke_off)
@job
def advance(rollout_id: int) -> None:
    """Carry a rollout as far as it can go now."""
    from releases.rollouts import engine  # noqa: PLC0415  the sweeper needs no Kubernetes client

    engine.advance(rollout_id)


@sweep(every_seconds=1)
def nudge_due() -> None:
    """Nudge rollouts whose time has come, whose worker died, or whose orders nobody has honoured."""
    now = clock.now()
    due = Q(wake_at__lte=now, state__in=[*ACTIVE, RolloutState.PAUSED])
    abandoned = Q(lease_until__lte=now)
    asked = Q(orders__honoured_at=None, orders__isnull=False)
    free = Q(lease_until=None) | Q(lease_until__lte=now)
    found = Rollout.objects.filter(free & (due | abandoned | asked)).order_by("pk")
    for pk in found.values_list("pk", flat=True).distinct():
        enqueue("releases.rollouts.jobs.advance", pk)
