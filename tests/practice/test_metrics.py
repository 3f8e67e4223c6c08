"""What pods and nodes use, as `kubectl top` and the portal read it from the practice cluster."""

from portal.integrations.kubernetes.amounts import quantity
from portal.integrations.kubernetes.usage import Usage
from tests.cluster.objects import Space, deployment
from tests.practice.conftest import Kubectl
from tests.soak import long

REQUESTS = {"requests": {"cpu": "200m", "memory": "256Mi"}}
CONTAINER = {"name": "web", "image": "registry.test/web:1", "resources": REQUESTS}
POD_METRICS = "/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods"


@long
def test_top_shows_pods_and_nodes(kubectl: Kubectl, space: Space) -> None:
    space.create(deployment("web", pod_spec={"containers": [CONTAINER]}))
    space.settle("web")
    [pod] = space.pods("web")
    told = kubectl("top", "pods", "--no-headers").split()
    assert told[0] == pod["metadata"]["name"]
    assert told[1].endswith("m")
    assert told[2].endswith("Mi")
    assert "%" in kubectl("top", "nodes", "--no-headers")
    assert pod["metadata"]["name"] in kubectl("top", "pods", "-l", "app=web")
    assert "No resources found" in kubectl("top", "pods", "-l", "app=other")
    assert pod["metadata"]["name"] in kubectl("top", "pod", pod["metadata"]["name"])


def test_what_runs_uses_a_part_of_what_it_asks_for(space: Space) -> None:
    space.create(deployment("web", pod_spec={"containers": [CONTAINER]}))
    space.settle("web")
    [measured] = space.api.get(POD_METRICS.format(space.name))["items"]
    [container] = measured["containers"]
    used = Usage(
        round(quantity(container["usage"]["cpu"]) * 1000), int(quantity(container["usage"]["memory"]))
    )
    assert 60 <= used.cpu_millicores <= 160
    assert 70 * 2**20 <= used.memory_bytes <= 200 * 2**20
    assert measured["window"]


def test_what_does_not_run_is_not_measured(space: Space) -> None:
    space.create(deployment("web", replicas=0))
    space.settle("web")
    assert space.api.get(POD_METRICS.format(space.name))["items"] == []
    path = f"{POD_METRICS.format(space.name)}/nothing"
    assert space.api.ask("GET", path).code == 404
    assert space.api.ask("DELETE", path).code in {403, 405}
