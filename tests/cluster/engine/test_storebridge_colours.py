"""StoreBridge's blue-green plan: deploy green, look at it, switch, keep blue for a while, remove it.

On the real control plane nodes are simulated (examples.py); what the plan watches is watched for a second.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from releases import operations as release_operations
from releases.catalog.models import Plan
from releases.rollouts import operations
from releases.rollouts.models import Rollout
from tests.cluster.engine.examples import example_cluster
from tests.cluster.objects import Space
from tests.factories import approve_all
from tests.people import acting, person
from tests.rollouts.floor import drive, why
from tests.rollouts.universe import Universe, furnish
from tests.soak import long

Served = tuple[Path, str]
PLACE, PLAN, SERVICE = "storebridge-staging", "storebridge-staging-blue-green", "storebridge-front"
ENDS = ("succeeded", "failed", "paused", "stopped", "awaiting_signoff")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("storebridge")
    with example_cluster(folder, system="storebridge", namespace=PLACE, deployments=5) as made:
        yield made


@pytest.fixture
def bridge(served: Served, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Universe]:
    made = furnish(*served, monkeypatch)
    person("bridge-lead", ("team_lead", "team:storebridge"))
    plan = Plan.objects.get(name=PLAN)
    # The plan itself, with seconds where it says minutes.
    text = json.dumps(plan.spec).replace('"seconds": 30, "everySeconds": 10', '"seconds": 1')
    plan.spec = json.loads(text.replace('"minutes": 10', '"seconds": 1'))
    plan.save(update_fields=["spec"])
    yield Universe(Space(made.space.api, PLACE), made.manager, made.kubeconfig)
    made.space.api.close()


def standing(bridge: Universe) -> tuple[str, dict[str, int]]:
    found = bridge.space.find("deployments", labelSelector=f"app={SERVICE}")
    sizes = {each["metadata"]["labels"]["color"]: each["spec"]["replicas"] for each in found}
    return bridge.space.get("services", SERVICE)["spec"]["selector"]["color"], sizes


def start(bridge: Universe) -> Rollout:
    items = [{"service": SERVICE, "version": "v2.6.0-rc.1"}]
    data = {"environment": PLACE, "plan": PLAN, "items": items, "changes": [], "facts": {}}
    release = release_operations.create_release(data, actor=bridge.actor)
    release_operations.submit_release(release.number, actor=bridge.actor)
    approve_all(release)
    return operations.start_rollout(release.number, actor=bridge.actor)


@long
def test_green_is_deployed_looked_at_switched_to_and_blue_is_removed(bridge: Universe) -> None:
    # Staging asks nobody, so the switch follows the verification at once.
    rollout = drive(start(bridge), *ENDS, seconds=60)
    assert rollout.state == "succeeded", why(rollout)
    order = list(rollout.steps.order_by("ended_at").values_list("kind", flat=True))
    assert order.index("verify_digests") < order.index("switch_service")
    assert order[-1] == "scale"
    assert standing(bridge) == ("green", {"blue": 0, "green": 2})
    operations.give_order(rollout.pk, "rollback", actor=acting(bridge.manager))
    drive(rollout, "rolled_back", "rollback_failed", "paused", seconds=60)
    assert standing(bridge) == ("blue", {"blue": 2, "green": 0}), why(rollout)
