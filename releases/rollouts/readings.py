"""What rollouts measure of themselves, for Prometheus."""

import math
from datetime import datetime, timedelta
from statistics import quantiles

from django.db.models import Count, Min, Q

from portal import clock
from portal.api.probes import gauge
from portal.live.models import Event
from releases.catalog.models import Environment
from releases.rollouts.models import Rollout, Step, WatchLead
from releases.rollouts.states import ACTIVE, RolloutState, StepState

LOOKED_BACK = timedelta(minutes=15)
READY, STARTED = "step.ready", "step.started"
SHARES = {"0.5": 49, "0.99": 98}
OPEN = sorted({*ACTIVE, RolloutState.PAUSED})
PARKED = ("portal_error", "worker_died")


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


@gauge(
    "rollouts_parked", "Rollouts held for people because the portal itself broke off at a step", label="code"
)
def parked() -> dict[str, float]:
    """By what held them: the portal raised again and again, or workers died again and again."""
    paused = Rollout.objects.filter(state=RolloutState.PAUSED).order_by()
    reasons = dict(paused.values_list("pk", "pause__reason"))
    steps = Step.objects.filter(rollout__in=[*reasons], state=StepState.ERRORED).order_by()
    found = {*reasons.items(), *steps.values_list("rollout", "failure__code")}
    return {code: float(sum(each == code for _rollout, each in found)) for code in PARKED}


@gauge("sweep_lag_seconds", "How long the rollout that is most overdue has asked for a look")
def sweep_lag() -> float:
    """Nought when none is overdue; a worker that died asked for one when its lease ran out."""
    now = clock.now()
    due, lapsed = Q(lease_until=None, wake_at__lt=now), Q(lease_until__lt=now)
    asked = Rollout.objects.filter(state__in=OPEN).aggregate(
        due=Min("wake_at", filter=due), lapsed=Min("lease_until", filter=lapsed)
    )
    return max(((now - at).total_seconds() for at in asked.values() if at is not None), default=0.0)


@gauge(
    "watch_lead_age_seconds",
    "How long ago the leader of a cluster's watch said that it leads; beyond 10 nobody does, +Inf: never",
    label=("cluster", "owner"),
)
def watch_leads() -> dict[tuple[str, ...], float]:
    """One for each cluster that has environments."""
    now = clock.now()
    leads = WatchLead.objects.values_list("cluster", "owner", "until")
    ages = {name: (owner, now - until + WatchLead.LASTS) for name, owner, until in leads}
    clusters = Environment.objects.order_by().values_list("cluster__name", flat=True).distinct()
    found: dict[tuple[str, ...], float] = {(name, ""): math.inf for name in clusters if name not in ages}
    led = {(name, *ages[name]) for name in clusters if name in ages}
    return found | {(name, owner): age.total_seconds() for name, owner, age in led}


def _waits(since: datetime) -> list[float]:
    """Seconds that each step waited that was ready and began after `since`."""
    # A step begins in an advance; one that failed long ago and is left as it is has none any more.
    recent = Rollout.objects.filter(Q(state__in=OPEN) | Q(heard_at__gte=since))
    topics = [f"rollout.{pk}" for pk in recent.values_list("pk", flat=True)]
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
