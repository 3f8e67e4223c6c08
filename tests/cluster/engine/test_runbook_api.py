"""runbook-api as its example ships: backed up, rolled out, watched by its health's own numbers, and back.

On the real control plane nodes are simulated (examples.py); nothing is left out of the plan.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from portal import clock
from portal.actors import Actor
from portal.people.models import User
from releases import gates
from releases import operations as release_operations
from releases.catalog.operations import load_folder
from releases.rollouts import measuring, operations
from releases.rollouts.models import Rollout
from releases.schedules import due, jobs, work
from releases.schedules import operations as runs
from releases.schedules.models import Backup, Schedule, ScheduledRun
from releases.schedules.recovery import recovery_of
from tests.cluster.api import from_kubeconfig
from tests.cluster.engine.examples import example_cluster
from tests.cluster.objects import Space, wait_for
from tests.factories import approve_all
from tests.people import acting, person
from tests.rollouts.floor import drive, states, why
from tests.rollouts.universe import EXAMPLES
from tests.soak import long

PRODUCTION, NAMESPACE = "runbook-api-production", "runbook-production"
ENDS = ("succeeded", "failed", "paused", "stopped")


@dataclass(frozen=True)
class Runbook:
    """The system with who releases it."""

    space: Space
    manager: User

    def start(self, version: str) -> Rollout:
        """Compose, submit, check, approve and start."""
        actor = acting(self.manager)
        items = [{"service": "runbook-api", "version": version}]
        release = release_operations.create_release({"environment": PRODUCTION, "items": items}, actor=actor)
        release_operations.submit_release(release.number, actor=actor)
        for check in release.checks.filter(phase="before", kind="person"):
            release_operations.answer_check(release.number, check.pk, actor=actor, result="done")
        for gate in gates.measured_now().filter(release=release.number):
            measuring.measure(gate.pk)
        approve_all(release)
        return operations.start_rollout(release.number, actor=actor)

    def image(self) -> str:
        """What the Deployment asks for now."""
        template = self.space.get("deployments", "runbook-api")["spec"]["template"]
        return str(template["spec"]["containers"][0]["image"])


@pytest.fixture
def runbook(
    tmp_path: Path, transactional_db: None, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> Iterator[Runbook]:
    """The example as it is shipped, on a cluster of the test."""
    settings.MANIFESTS = str(EXAMPLES.parent / "manifests")
    place = {"system": "runbook-api", "namespace": NAMESPACE}
    with example_cluster(tmp_path, deployments=2, **place) as (kubeconfig, registry):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        monkeypatch.setenv("PRACTICE_REGISTRY_URL", registry)
        monkeypatch.setenv("PRACTICE_AUTHORITY_FILE", str(kubeconfig.with_name("tls.crt")))
        load_folder(EXAMPLES, actor=Actor.portal("a test", door="cli"))
        manager = person("runbook-manager", ("release_manager", "*"))
        person("runbook-pl", ("pl", "service:runbook-api"))
        person("runbook-lead", ("team_lead", "team:runbook"))
        api = from_kubeconfig(kubeconfig)
        assert api is not None
        yield Runbook(Space(api, NAMESPACE), manager)
        api.close()


def scheduled(name: str) -> ScheduledRun:
    """Let a schedule of production be due, and carry its run to the end."""
    due.follow_catalog()
    row = Schedule.objects.get(name=name, environment__name=PRODUCTION)
    row.spec, row.next_at = {**row.spec, "cron": "* * * * *"}, clock.now().replace(second=0, microsecond=0)
    row.save(update_fields=["spec", "next_at"])
    due.take_due()
    run = ScheduledRun.objects.get(schedule=name, outcome="")

    def over() -> ScheduledRun | None:
        ScheduledRun.objects.filter(pk=run.pk, outcome="").update(wake_at=clock.now())
        for pk in runs.claim_due():
            work.carry_on(pk)
        run.refresh_from_db()
        return run if run.outcome else None

    return wait_for(over, what=f"the end of {name}")


@long
def test_it_goes_out_after_a_backup_and_a_hungry_version_goes_back(runbook: Runbook) -> None:
    rollout = drive(runbook.start("1.5.0"), *ENDS, seconds=90)
    assert rollout.state == "succeeded", why(rollout)
    assert rollout.verdict is not None
    assert rollout.verdict["exact"] is True
    looked = set(rollout.steps.filter(wave=0, state="succeeded").values_list("kind", flat=True))
    assert {"secret_hygiene", "certificate", "headroom"} <= looked
    # The cluster says so already; from now on the portal answers for it.
    applied = rollout.steps.get(kind="apply_manifests")
    assert applied.observed["args"]["count"] == 2
    approved = runbook.image()
    jobs.keep_backups()
    backup = Backup.objects.get()
    assert (backup.rows, backup.size_bytes) == (48210, 73400320)
    for name in ("health", "clean-up"):
        run = scheduled(name)
        assert run.outcome == "succeeded", (run.observed, run.failure)

    hungry = runbook.start("1.5.0-hungry")
    health = hungry.steps.get(kind="health", wave=1)
    health.timeout_seconds = 2
    health.save(update_fields=["timeout_seconds"])
    drive(hungry, *ENDS, seconds=90)
    assert hungry.state == "failed", why(hungry)
    seen = hungry.steps.get(kind="health", wave=1)
    assert "memory.percent" in str(seen.observed), states(hungry)
    operations.give_order(hungry.pk, "rollback", actor=acting(runbook.manager))
    drive(hungry, "rolled_back", "rollback_failed", seconds=90)
    assert (hungry.state, runbook.image()) == ("rolled_back", approved)
    jobs.keep_backups()
    found = recovery_of(backup.service, backup.environment)
    assert (found.recoveries, found.rto_met, found.rpo_met) == (1, True, True)
