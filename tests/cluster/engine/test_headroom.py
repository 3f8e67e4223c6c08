"""Room for the surge, measured on a cluster before anything changes; who may not look says so."""

from pathlib import Path
from typing import Any

from releases.models import Release
from releases.rollouts import plans
from tests.cluster.conftest import Cluster
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import Space, deployment
from tests.rollouts.floor import Floor, drive, lay, why
from tests.soak import long

BEFORE = ({"kind": "headroom"},)
ENDS = ("succeeded", "failed", "paused")
# More than all nodes of a test take.
MANY = 100_000


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
