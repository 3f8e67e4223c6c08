"""What Prometheus finds: the promised measurements, with numbers that follow what happens."""

from datetime import timedelta

import pytest
from django.test import Client

from portal import clock
from portal.live.models import Event
from releases.catalog.models import Plan
from releases.rollouts import operations
from releases.rollouts.events import tell_step
from releases.rollouts.models import Rollout
from tests.factories import Shop, make_release
from tests.people import acting
from tests.soak import long

WAVES = {"expectedMinutes": 30, "waves": [{"title": "All", "services": ["shopping-service"]}]}


def measured(name: str) -> float:
    """One number of /metrics, by its name and labels."""
    lines = Client().get("/metrics").content.decode().splitlines()
    (found,) = [line.rpartition(" ")[2] for line in lines if line.startswith(f"portal_{name} ")]
    return float(found)


@pytest.fixture
def rollout(shop: Shop) -> Rollout:
    """A rollout that waits for a worker."""
    Plan.objects.filter(pk=shop.plan.pk).update(spec=WAVES)
    release = make_release(shop, at="approved")
    return operations.start_rollout(release.number, actor=acting(shop.cast.author))


def test_every_promised_measurement_is_there(shop: Shop) -> None:
    for name in ("queue_age_seconds", "outbox_lag_seconds", "sockets", "chain_head"):
        measured(name)
    assert measured('rollouts{state="running"}') == 0
    assert measured('step_reaction_seconds{quantile="0.99"}') == 0


@long
def test_rollouts_are_counted_by_state(rollout: Rollout) -> None:
    assert measured('rollouts{state="queued"}') == 1
    assert measured('rollouts{state="failed"}') == 0


@long
def test_the_reaction_of_steps_runs_from_ready_to_begun(rollout: Rollout) -> None:
    step = rollout.steps.order_by("position")[0]
    tell_step(step, "ready")
    Event.objects.filter(topic=rollout.topic, kind="step.ready").update(
        at=clock.now() - timedelta(seconds=40)
    )
    assert measured('step_reaction_seconds{quantile="0.5"}') == 0
    tell_step(step, "started")
    assert 40 <= measured('step_reaction_seconds{quantile="0.5"}') < 60
