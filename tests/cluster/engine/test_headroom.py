"""Room for the surge, measured on a cluster before anything changes; who may not look says so."""

from pathlib import Path
from typing import Any

import pytest

from releases.models import Release
from releases.rollouts import engine, plans
from tests.cluster.conftest import Cluster
from tests.cluster.engine.conftest import Lay
from tests.cluster.engine.test_canary import Metrics, canaried
from tests.cluster.engine.test_colours import two_colours
from tests.cluster.objects import Space, deployment
from tests.rollouts.floor import Floor, drive, lay, why
from tests.soak import long

BEFORE = ({"kind": "headroom"},)
ENDS = ("succeeded", "failed", "paused")
# More than all nodes of a test take.
MANY = 100_000


@pytest.fixture
def account(cluster: Cluster) -> Path:
    """Sees nodes, which the account that is shipped does not (docs/production.md)."""
    return cluster.kubeconfig_path


def rolling(surge: int) -> dict[str, Any]:
    """A Deployment that has so many pods more while new ones come."""
    resources = {"requests": {"cpu": "10m", "memory": "64Mi"}}
    pod = {"containers": [{"name": "web", "image": "registry.test/floor/api:1.0.0", "resources": resources}]}
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": 1}}
    return {"api": deployment("api", pod_spec=pod, strategy=strategy)}


def error_of(floor: Floor, release: Release) -> str:
    """What the dry run says of the step."""
    return next(each.error for each in plans.preview(release).steps if each.kind == "headroom")


@long
def test_a_rollout_that_fits_goes_out(lay_floor: Lay) -> None:
    rollout = drive(lay_floor(before=BEFORE, objects=rolling(2)).start(), *ENDS)
    step = rollout.steps.get(kind="headroom")
    assert rollout.state == "succeeded", why(rollout)
    assert step.observed["args"]["pods"] == 2


@long
def test_one_that_does_not_is_named_before_anything_changes(lay_floor: Lay) -> None:
    floor = lay_floor(before=BEFORE, objects=rolling(MANY))
    image = floor.image("api")
    release = floor.release()
    assert "deployment/api" in error_of(floor, release)
    rollout = drive(floor.start("2.1.0"), *ENDS)
    failure = rollout.steps.get(kind="headroom").failure
    assert rollout.state == "failed", why(rollout)
    assert failure is not None
    assert (failure["code"], failure["args"]["memory"]) == ("headroom_missing", "64Mi")
    assert floor.image("api") == image


@long
def test_the_sizes_that_a_plan_sets_are_reckoned_with(lay_floor: Lay) -> None:
    floor = lay_floor(before=BEFORE, objects=rolling(2))
    grown = {"kind": "scale", "service": "api", "replicas": 4}
    floor.plan.spec["waves"][0]["before"] = [grown]
    floor.plan.save()
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    # Three more than run, and the surge while they are replaced.
    assert rollout.steps.get(kind="headroom").observed["args"]["pods"] == 5
    grown["replicas"] = MANY
    floor.plan.save()
    assert "deployment/api" in error_of(floor, floor.release("2.1.0"))


@long
def test_the_colour_that_will_grow_is_found_and_reckoned_with(lay_floor: Lay) -> None:
    floor = two_colours(lay_floor)
    floor.plan.spec["before"] = list(BEFORE)
    floor.plan.save()
    assert error_of(floor, floor.release()) == ""
    [sizes] = [each for each in floor.plan.spec["waves"][0]["after"] if each["kind"] == "scale"]
    sizes["replicas"] = [2, MANY]
    floor.plan.save()
    assert "deployment/green" in error_of(floor, floor.release("2.1.0"))


@long
@pytest.mark.usefixtures("gateway_api")
def test_the_pods_of_a_canary_are_reckoned_with(lay_floor: Lay) -> None:
    with canaried(lay_floor, Metrics(), by="pods") as floor:
        floor.plan.spec["before"] = list(BEFORE)
        floor.plan.save()
        rollout = floor.start()
        measured = rollout.steps.get(kind="headroom")
        while measured.state in {"waiting", "ready", "running"}:
            engine.advance(rollout.pk)
            measured.refresh_from_db()
        # Half of ten, and the surge of the ten.
        assert measured.observed["args"]["pods"] == 8, why(rollout)


@long
def test_a_quota_without_room_is_named(lay_floor: Lay, space: Space) -> None:
    floor = lay_floor(before=BEFORE, objects=rolling(2))
    metadata = {"name": "few"}
    space.create(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": "2"}}}
    )
    space.wait(
        "resourcequotas", "few", lambda seen: (seen.get("status") or {}).get("used", {}).get("pods") == "1"
    )
    rollout = drive(floor.start(), *ENDS)
    failure = rollout.steps.get(kind="headroom").failure
    assert failure is not None, why(rollout)
    assert (failure["code"], failure["args"]["left"], failure["args"]["needed"]) == (
        "quota_exceeded",
        "1",
        "2",
    )


@long
def test_an_account_that_may_not_see_nodes_asks_a_person(
    cluster: Cluster, space: Space, tmp_path: Path, transactional_db: None
) -> None:
    floor = lay(space, cluster.limited_kubeconfig(tmp_path), before=BEFORE, objects=rolling(1))
    rollout = drive(floor.start(), *ENDS)
    step = rollout.steps.get(kind="headroom")
    assert (step.state, rollout.state) == ("inconclusive", "paused"), why(rollout)
    assert step.observed["code"] == "headroom_unseen"
    assert "nodes" in step.observed["args"]["message"]
