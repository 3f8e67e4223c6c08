"""Infinispan's own view, asked of every pod: it holds a rollout until the cluster is whole and at rest.

JGroups' view is asked in the same way (test_colours.py).
"""

from typing import Any

import pytest
from django.utils import translation

from releases.rollouts import texts
from tests.cluster.conftest import Cluster
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import deployment
from tests.rollouts.floor import EACH, Floor, drive, why
from tests.soak import long

pytestmark = long
ENDS = ("succeeded", "failed", "paused")


@pytest.fixture(scope="module")
def cluster(answering_cluster: Cluster) -> Cluster:
    """Pods are asked here."""
    return answering_cluster


def members(lay_floor: Lay, *, seconds: int = 20, **options: Any) -> Floor:
    """Three pods of one Infinispan cluster, whose view is asked after the new version has come up."""
    web = {
        "name": "web",
        "image": "registry.test/floor/api:1.0.0",
        "env": [{"name": "INFINISPAN_CLUSTER", "value": "sessions"}],
    }
    body = deployment("api", replicas=3, pod_spec={"containers": [web]}, **options)
    floor = lay_floor(each=EACH, objects={"api": body})
    service = floor.services["api"]
    service.spec |= {"clusterView": {"kind": "infinispan", "port": 11222}}
    service.save(update_fields=["spec"])
    asked = {"kind": "cluster_view", "service": "api", "stableSeconds": 1, "timeoutSeconds": seconds}
    floor.plan.spec["waves"][0]["after"] = [asked]
    floor.plan.save(update_fields=["spec"])
    return floor


def test_the_rollout_goes_on_once_every_pod_sees_all_the_others(lay_floor: Lay) -> None:
    rollout = drive(members(lay_floor).start(), *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    seen = rollout.steps.get(kind="cluster_view").observed
    with translation.override("en"):
        assert texts.observed(seen) == "All 3 pods see the same 3 members"


@pytest.mark.parametrize(
    ("mark", "state", "text"),
    [
        ("rebalances", "failed", "The cluster rebalances: HEALTHY_REBALANCING"),
        ("split", "failed", "3 members are expected; 1 (× 3)"),
        ("silent", "paused", "Pods that do not answer (3): "),
    ],
)
def test_a_cluster_that_is_not_whole_and_at_rest_holds_it(
    lay_floor: Lay, mark: str, state: str, text: str
) -> None:
    floor = members(lay_floor, seconds=3, pod_annotations={"practice/cluster-view": mark})
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == state, why(rollout)
    step = rollout.steps.get(kind="cluster_view")
    with translation.override("en"):
        assert texts.step_text(step).startswith(text)
