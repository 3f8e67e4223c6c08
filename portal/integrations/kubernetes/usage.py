"""CPU and memory in use, where the cluster has a metrics server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from portal.errors import PermanentError
from portal.integrations.kubernetes.amounts import millicores, quantity
from portal.integrations.kubernetes.client import Cluster
from portal.integrations.kubernetes.workloads import Json

PATH = "/apis/metrics.k8s.io/v1beta1"


@dataclass(frozen=True)
class Usage:
    """What something uses, or may use: thousandths of a core, and bytes."""

    cpu_millicores: int
    memory_bytes: int


def usage_of_pods(cluster: Cluster, namespace: str) -> dict[str, Usage] | None:
    """Return the usage of a namespace's pods by name; None where the cluster measures nothing, or won't say.

    Raises:
        TemporaryError: the cluster, or its metrics server, does not answer now.
    """
    try:
        found = cluster.get(f"{PATH}/namespaces/{namespace}/pods")
    except PermanentError:
        return None
    return {str(each["metadata"]["name"]): _summed(each) for each in found.get("items") or []}


def _summed(pod: Json) -> Usage:
    used = [each.get("usage") or {} for each in pod.get("containers") or []]
    return Usage(
        sum(millicores(_named(each, "cpu")) for each in used),
        sum(int(quantity(_named(each, "memory"))) for each in used),
    )


def _named(amounts: Mapping[str, object], name: str) -> object:
    return amounts.get(name) or "0"
