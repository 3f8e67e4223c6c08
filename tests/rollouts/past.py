"""Earlier rollouts of a plan, as if they had been."""

from datetime import timedelta

from portal import clock
from releases.rollouts.models import Rollout


def was_carried_out(like: Rollout, *seconds: float, way: str = "forward") -> None:
    """Leave rollouts behind that were under way for so long, the first one the oldest, all over by now."""
    now = clock.now()
    for age, each in enumerate(reversed(seconds)):
        rollout = Rollout.objects.create(
            release=like.release,
            environment=like.environment,
            state="succeeded" if way == "forward" else "rolled_back",
            queued_at=now - timedelta(days=age + 2),
            started_at=now - timedelta(days=age + 2),
            # It stood for a day, in which nobody let it go on.
            ended_at=now - timedelta(days=age + 1),
            under_way_seconds=each,
        )
        rollout.steps.create(key="one", kind="notice", direction=way)
