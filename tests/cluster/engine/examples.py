"""Clusters on which an example runs as it is shipped: the practice one, or a real control plane of its own.

Beside the real one, what nodes would be is simulated: pods run nothing, are ready at once, and fail where
their image is labelled to; what their applications answer and what the registry holds is the practice
cluster's (controlplane/network.py, controlplane/nodes.py). Controllers, scheduler, API server and its proxy
to pods are the real ones.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import yaml

from portal.embedded.cluster import kinds
from tests.cluster.api import Api, Json, from_kubeconfig
from tests.cluster.conftest import USES_CONTROL_PLANE
from tests.cluster.controlplane.start import ControlPlane
from tests.cluster.objects import wait_for
from tests.rollouts.universe import EXAMPLES, cluster_of_universe


@contextlib.contextmanager
def example_cluster(
    folder: Path, *, system: str, namespace: str, deployments: int
) -> Iterator[tuple[Path, str]]:
    """Start a cluster on which an example runs; gives kubeconfig and registry address.

    The certificate that its applications show is `tls.crt` beside the kubeconfig.

    Args:
        system: the example's folder.
        namespace: where so many Deployments have to run first, on the practice cluster.
    """
    if not USES_CONTROL_PLANE:
        place = {"system": system, "namespace": namespace}
        with cluster_of_universe(folder, deployments=deployments, **place) as made:
            yield made
        return
    with ControlPlane(images=EXAMPLES / "images.yaml") as plane:
        api = from_kubeconfig(plane.kubeconfig)
        assert api is not None
        for body in yaml.safe_load_all((EXAMPLES / system / "objects.yaml").read_text()):
            _create(api, body)
        wait_for(lambda: _all_run(api), what=f"the pods of {system}", seconds=60)
        api.close()
        yield plane.kubeconfig, plane.registry


def _create(api: Api, body: Json) -> None:
    kind = kinds.by_name(body["apiVersion"], body["kind"])
    assert kind is not None
    if kind.custom:
        return  # a fresh cluster has no definition of it; tests that need one install it
    group = f"apis/{kind.api_version}" if kind.group else f"api/{kind.version}"
    place = f"namespaces/{body['metadata']['namespace']}/" if kind.namespaced else ""
    api.create(f"{group}/{place}{kind.plural}", body)


def _all_run(api: Api) -> bool:
    found = api.get("apis/apps/v1/deployments")["items"]
    return all(
        each.get("status", {}).get("availableReplicas", 0) == each["spec"]["replicas"] for each in found
    )
