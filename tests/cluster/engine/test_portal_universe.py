"""portal-universe as its example ships, with real requests: forward, failing half-way, and back.

On the real control plane nodes are simulated (examples.py); nothing is left out of the plan.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection

from portal.audit import verifier
from portal.audit.operations import sign_head
from releases import queries as release_queries
from releases.models import Release
from releases.rollouts import engine, plans
from releases.rollouts.models import Rollout
from releases.rollouts.proof import proof_of
from releases.rollouts.proof_entries import Entries
from tests.cluster.engine.examples import System
from tests.portal.audit.signing import new_key
from tests.rollouts.floor import drive, kinds, states, why
from tests.soak import long

SYSTEM, ENVIRONMENT = "portal-universe", "portal-universe-production"
BACKEND = (
    "config-service",
    "auth-service",
    "shopping-service",
    "blog-service",
    "notification-service",
    "api-gateway",
)
FRONTEND = ("design-system", "portal-shell", "blog-frontend", "shopping-frontend")
ENDS = ("succeeded", "failed", "paused", "stopped")
# What a round may ask whatever it finds, and what a step may cost from its beginning to its end.
MOST_PER_ROUND = 8
MOST_PER_STEP = 20


def compose(
    system: System, version: str, *, services: Sequence[str] = (*BACKEND, *FRONTEND), **named: str
) -> Release:
    """A release of one version; `named` gives single services another."""
    versions = dict.fromkeys(services, version) | {name.replace("_", "-"): tag for name, tag in named.items()}
    return system.release(ENVIRONMENT, versions)


def start(system: System, version: str, **named: Any) -> Rollout:
    return system.start(compose(system, version, **named))


@long
def test_ten_services_go_out_in_their_order_are_verified_and_proven(
    system: System, settings: Any, tmp_path: Path
) -> None:
    rollout = drive(start(system, "v1.4.0"), *ENDS, seconds=90)
    assert rollout.state == "succeeded", why(rollout)
    assert rollout.verdict is not None
    assert rollout.verdict["exact"] is True
    assert all(each["reported"] for each in rollout.verdict["services"])
    items = {item.service.name: {item.image} for item in rollout.release.items.select_related("service")}
    assert system.images(SYSTEM) == items
    assert Release.objects.get(pk=rollout.release_id).state == "awaiting_signoff"
    order = [
        step.service.name
        for step in rollout.steps.filter(kind="set_image").order_by("acted_at")
        if step.service
    ]
    assert order[0] == "config-service"
    assert order.index("api-gateway") < order.index("design-system")
    assert set(order) == {*BACKEND, *FRONTEND}
    settings.AUDIT_KEY = new_key()
    sign_head()
    the_proof_holds_what_ran(rollout, tmp_path / "proof.json")


def the_proof_holds_what_ran(rollout: Rollout, file: Path) -> None:
    release = release_queries.detail(rollout.release.author, rollout.release_id)
    proof = proof_of(release, Entries(release), whole=True)
    assert proof["answer"]["ran"] == "exactly"
    assert proof["unsigned"] == 0
    (told,) = proof["rollouts"]
    assert told["verdict_entry"] is not None
    assert [step["key"] for step in told["steps"] if step["entry"] is None] == []
    file.write_text(json.dumps(proof, cls=DjangoJSONEncoder))
    assert verifier.main([str(file)]) == 0
    told["verdict"]["services"][0]["found"] = {"app": ["sha256:0"]}
    file.write_text(json.dumps(proof, cls=DjangoJSONEncoder))
    assert verifier.main([str(file)]) == 1


@long
def test_staging_goes_out_by_its_own_plan_and_comes_back(system: System) -> None:
    staging = f"{SYSTEM}-staging"
    before = system.images(staging)
    rollout = drive(
        system.start(system.release(staging, dict.fromkeys((*BACKEND, *FRONTEND), "v1.4.1"))),
        *ENDS,
        seconds=90,
    )
    assert rollout.state == "succeeded", why(rollout)
    assert rollout.release.plan is not None
    assert rollout.release.plan.name == staging
    assert rollout.verdict is not None
    assert rollout.verdict["exact"] is True
    items = {item.service.name: {item.image} for item in rollout.release.items.select_related("service")}
    assert system.images(staging) == items != before
    drive(system.back(rollout), "rolled_back", "rollback_failed", seconds=60)
    assert rollout.state == "rolled_back", why(rollout)
    assert system.images(staging) == before


@long
def test_a_broken_version_is_named_and_goes_back(system: System) -> None:
    before = system.images(SYSTEM)
    rollout = drive(start(system, "v1.4.1", shopping_service="v1.4.0-withdrawn"), *ENDS, seconds=90)
    assert rollout.state == "failed", why(rollout)
    failure = rollout.steps.get(state="failed").failure
    assert failure is not None
    assert (failure["code"], failure["container"]) == ("ErrImagePull", "shopping-service")
    assert states(rollout)["4.notification-service.set_image"] == "waiting"
    drive(system.back(rollout), "rolled_back", "rollback_failed", seconds=60)
    assert rollout.state == "rolled_back", why(rollout)
    assert system.images(SYSTEM) == before
    back = states(rollout)
    services = ("config-service", "auth-service", "shopping-service", "blog-service")
    checks = [back[key] for key in back if key.startswith("back.") and key.endswith(".health")]
    assert checks == ["succeeded"] * len(services)
    assert Release.objects.get(pk=rollout.release_id).state == "rolled_back"
    pinned = {pin.service.name for pin in rollout.pins.filter(lifted_at=None)}
    assert pinned == set(services)
    assert kinds(rollout)[-1] == "rollout.rolled_back"


@long
def test_the_dry_run_names_every_change_and_changes_nothing(system: System) -> None:
    before = system.images(SYSTEM)
    release = system.approve(compose(system, "v1.4.1"))
    preview = plans.preview(release)
    assert preview.cluster_error == ""
    assert preview.errors == []
    changed = {change["object"]: change for step in preview.steps for change in step.changes}
    assert {name.removeprefix("deployment/") for name in changed} == {*BACKEND, *FRONTEND}
    assert {changed["deployment/api-gateway"]["before"]} == before["api-gateway"]
    assert system.images(SYSTEM) == before


@long
def test_the_dry_run_names_a_cluster_out_of_reach(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = tmp_path / "kubeconfig"
    away.write_text(system.kubeconfig.read_text().replace(system.api.server, "https://127.0.0.1:9"))
    monkeypatch.setenv("KUBECONFIG", str(away))
    release = system.approve(compose(system, "v1.4.1", services=["config-service"]))
    preview = plans.preview(Release.objects.get(pk=release.pk))
    assert "127.0.0.1:9" in preview.cluster_error
    assert {step.kind for step in preview.steps} >= {"set_image", "wait_rollout", "verify_digests"}


@long
def test_a_rollout_asks_the_database_little(system: System) -> None:
    rollout = start(system, "v1.4.1", services=["config-service"])
    asked: list[int] = []

    def count(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        asked[-1] += 1
        return execute(sql, *rest)

    while rollout.state not in ENDS:
        assert len(asked) < 400, states(rollout)
        asked.append(0)
        with connection.execute_wrapper(count):
            engine.advance(rollout.pk)
        rollout.refresh_from_db()
        time.sleep(0.05)
    assert rollout.state == "succeeded", states(rollout)
    assert sum(asked) <= MOST_PER_ROUND * len(asked) + MOST_PER_STEP * rollout.steps.count()
