"""How long a plan takes, by what its last rollouts took: when one should be over, and how long a way back is.

Counted is the time under way: what a person was awaited, a pause held or a failure stood is nobody's speed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.db.models import Exists, OuterRef

from portal import clock
from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import MOVING, Direction, RolloutState

# The median of the last ten; fewer than three say nothing (screens.md, "Interaction").
MOST, LEAST = 10, 3
END_OF = {Direction.FORWARD: RolloutState.SUCCEEDED, Direction.BACK: RolloutState.ROLLED_BACK}


@dataclass(frozen=True, kw_only=True)
class Usual:
    """How long a plan usually takes.

    Attributes:
        seconds: the median of the rollouts it rests on.
        rollouts: how many those are.
    """

    seconds: float
    rollouts: int


def usual(rollout: Rollout, way: str) -> Usual | None:
    """Return how long the plan of a rollout takes in its environment, one way; None where too few ended well.

    Args:
        way: forward, or back.
    """
    if rollout.release.plan_id is None:
        return None
    found = Rollout.objects.filter(
        # One that was turned back before it had changed anything says nothing.
        Exists(Step.objects.filter(rollout=OuterRef("pk"), direction=way)),
        environment=rollout.environment_id,
        release__plan=rollout.release.plan_id,
        state=END_OF[Direction(way)],
        under_way_seconds__isnull=False,
    ).exclude(pk=rollout.pk)
    newest = found.order_by("-ended_at").values_list("under_way_seconds", flat=True)
    return _middle([float(seconds or 0) for seconds in newest[:MOST]])


def _middle(seconds: list[float]) -> Usual | None:
    return Usual(seconds=median(seconds), rollouts=len(seconds)) if len(seconds) >= LEAST else None


def due_at(rollout: Rollout) -> datetime | None:
    """Return when a rollout under way should be over, past where it is late; None where nothing tells it."""
    since = rollout.under_way_since
    if rollout.state not in MOVING or since is None:
        return None
    goes_back = rollout.state == RolloutState.ROLLING_BACK
    found = usual(rollout, Direction.BACK if goes_back else Direction.FORWARD)
    if found is None:
        return None
    return since + timedelta(seconds=found.seconds - (rollout.under_way_seconds or 0))


def spent_forward(rollout: Rollout) -> float | None:
    """Return for how many seconds it was under way forward; None where it goes back, or nobody counted."""
    seconds, since = rollout.under_way_seconds, rollout.under_way_since
    if seconds is None or rollout.steps.filter(direction=Direction.BACK).exists():
        return None
    return seconds + ((clock.now() - since).total_seconds() if since else 0)


def begin(rollout: Rollout) -> None:
    """Count the time under way from here: at the start, and again where it turns back."""
    rollout.under_way_seconds, rollout.under_way_since = 0.0, None


def count(rollout: Rollout, state: str) -> Iterable[str]:
    """Count the time under way of a rollout that comes into a state; return the fields that changed.

    One that an earlier version of the portal began is not counted.
    """
    if rollout.under_way_seconds is None:
        return ()
    now, since = clock.now(), rollout.under_way_since
    # An earlier version of the portal pauses without a word of this.
    if since is not None and rollout.state in MOVING:
        rollout.under_way_seconds += (now - since).total_seconds()
    rollout.under_way_since = now if state in MOVING else None
    return ("under_way_seconds", "under_way_since")
