"""What rollouts measure of themselves, for Prometheus."""

from datetime import datetime, timedelta
from statistics import quantiles

from django.db.models import Count, Q

from portal import clock
from portal.api.probes import gauge
from portal.live.models import Event
from releases.rollouts.models import Rollout
from releases.rollouts.states import RolloutState

LOOKED_BACK = timedelta(minutes=15)
READY, STARTED = "step.ready", "step.started"
SHARES = {"0.5": 49, "0.99": 98}


@gauge("rollouts", "Rollouts by state", label="state")
def rollouts_by_state() -> dict[str, float]:
    """Every state is named, also where there is none."""
    counted = Rollout.objects.order_by().values_list("state").annotate(Count("pk"))
    return dict.fromkeys(RolloutState.values, 0.0) | {state: float(count) for state, count in counted}


@gauge(
    "step_reaction_seconds",
    "Time from a step being ready to its beginning, over 15 minutes; nought when none began",
    label="quantile",
)
def step_reaction() -> dict[str, float]:
    """What steps wait for workers, leases and nudges, not for what they depend on."""
    waited = _waits(clock.now() - LOOKED_BACK)
    if len(waited) < 2:
        return dict.fromkeys(SHARES, waited[0] if waited else 0.0)
    cuts = quantiles(waited, n=100, method="inclusive")
    return {name: round(cuts[place], 6) for name, place in SHARES.items()}


def _waits(since: datetime) -> list[float]:
    """Seconds that each step waited that was ready and began after `since`."""
    recent = Rollout.objects.filter(Q(ended_at=None) | Q(ended_at__gte=since)).values_list("pk", flat=True)
    topics = [f"rollout.{pk}" for pk in recent]
    rows = Event.objects.filter(topic__in=topics, kind__in=[READY, STARTED], at__gte=since)
    ready: dict[tuple[str, int], datetime] = {}
    waited = []
    for topic, step, kind, at in rows.order_by("topic", "number").values_list(
        "topic", "data__step", "kind", "at"
    ):
        if kind == READY:
            ready[topic, step] = at
        elif (topic, step) in ready:
            waited.append((at - ready.pop((topic, step))).total_seconds())
    return waited
