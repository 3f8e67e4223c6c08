"""What Prometheus finds: the promised measurements, with numbers that follow what happens."""

import math
import re
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client

from portal import clock
from portal.live.models import Event
from releases.catalog.models import Plan
from releases.rollouts import operations
from releases.rollouts.events import tell_step
from releases.rollouts.models import Rollout, Step, WatchLead
from releases.rollouts.watcher import take_lead
from tests.factories import Shop, make_release
from tests.people import acting
from tests.soak import long

METRICS = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
WAVES = {"expectedMinutes": 30, "waves": [{"title": "All", "services": ["shopping-service"]}]}


def shown() -> dict[str, float]:
    """All numbers of /metrics by their names and labels."""
    return numbers(Client().get("/metrics").content.decode())


def numbers(text: str) -> dict[str, float]:
    """All numbers in Prometheus' text, by their names and labels without the prefix."""
    found = (line.rpartition(" ") for line in text.splitlines() if line.startswith("portal_"))
    return {name.removeprefix("portal_"): float(number) for name, _space, number in found}


def measured(name: str) -> float:
    """One number of /metrics, by its name and labels."""
    return shown()[name]


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


def test_a_rollout_that_the_portal_cannot_go_on_with_is_counted_as_parked(rollout: Rollout) -> None:
    assert measured('rollouts_parked{code="portal_error"}') == 0
    Rollout.objects.update(state="paused", pause={"reason": "errored"})
    first, second, *_rest = rollout.steps.order_by("position")
    for step in (first, second):
        Step.objects.filter(pk=step.pk).update(state="errored", failure={"code": "portal_error"})
    assert measured('rollouts_parked{code="portal_error"}') == 1
    Step.objects.update(failure={"code": "unreachable"})
    assert measured('rollouts_parked{code="portal_error"}') == 0, "what could not be measured is no such case"
    Rollout.objects.update(pause={"reason": "worker_died"})
    assert measured('rollouts_parked{code="worker_died"}') == 1


def test_the_lag_of_the_sweep_is_that_of_the_rollout_most_overdue(rollout: Rollout) -> None:
    Rollout.objects.update(wake_at=clock.now() + timedelta(seconds=9))
    assert measured("sweep_lag_seconds") == 0
    Rollout.objects.update(wake_at=clock.now() - timedelta(seconds=40))
    assert 40 <= measured("sweep_lag_seconds") < 60
    held = {"lease_until": clock.now() + timedelta(seconds=9)}
    Rollout.objects.update(**held)
    assert measured("sweep_lag_seconds") == 0, "a worker is at it"
    Rollout.objects.update(lease_until=clock.now() - timedelta(seconds=80))
    assert 80 <= measured("sweep_lag_seconds") < 100
    Rollout.objects.update(state="succeeded")
    assert measured("sweep_lag_seconds") == 0


def test_who_leads_a_watch_and_when_it_last_said_so(shop: Shop) -> None:
    cluster = shop.environment.cluster.name
    assert measured(f'watch_lead_age_seconds{{cluster="{cluster}",owner=""}}') == math.inf
    WatchLead.objects.create(cluster="of an environment that is no more", owner="old", until=clock.now())
    assert take_lead(cluster, "watcher-1:7")
    leads = {name: age for name, age in shown().items() if name.startswith("watch_lead_age_seconds")}
    ((name, age),) = leads.items()
    assert name == f'watch_lead_age_seconds{{cluster="{cluster}",owner="watcher-1:7"}}'
    assert 0 <= age < 10
    WatchLead.objects.update(until=clock.now() - timedelta(seconds=30))
    assert measured(name) >= 40


def test_what_failed_long_ago_and_is_left_so_is_not_read_for_the_reaction(rollout: Rollout) -> None:
    step = rollout.steps.order_by("position")[0]
    for event in ("ready", "started"):
        tell_step(step, event)
    Event.objects.filter(topic=rollout.topic, kind="step.ready").update(
        at=clock.now() - timedelta(seconds=40)
    )
    Rollout.objects.update(state="failed", heard_at=clock.now() - timedelta(hours=1))
    assert measured('step_reaction_seconds{quantile="0.5"}') == 0
    Rollout.objects.update(heard_at=clock.now())
    assert measured('step_reaction_seconds{quantile="0.5"}') >= 30


def documented() -> set[str]:
    """The names that the tables of docs/metrics.md give."""
    return set(re.findall(r"^\| `portal_(\w+)` \|", METRICS.read_text(), re.MULTILINE))


def test_the_documentation_names_every_measurement_and_no_other(client: Client, db: None) -> None:
    found = re.findall(r"^# TYPE portal_(\w+) ", client.get("/metrics").content.decode(), re.MULTILINE)
    assert sorted(found) == sorted(documented())


@long
def test_names_and_kinds_are_as_prometheus_wants_them(client: Client, db: None) -> None:
    text = client.get("/metrics").content.decode()
    command = ["promtool", "check", "metrics"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@long
def test_the_alerts_of_the_documentation_can_be_loaded_and_ask_for_what_there_is(tmp_path: Path) -> None:
    (rules,) = re.findall(r"```yaml\n(.*?)```", METRICS.read_text(), re.DOTALL)
    asked = set(re.findall(r"portal_(\w+)", rules))
    assert {name.removesuffix("_count") for name in asked} <= documented()
    file = tmp_path / "rules.yaml"
    file.write_text(rules)
    done = subprocess.run(
        ["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "6 rules found" in done.stdout) == (0, True), done.stderr
