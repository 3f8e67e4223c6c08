"""Reads what a namespace holds, for discovery."""

from portal.errors import NotFound, PermanentError
from portal.integrations.kubernetes.client import Cluster
from portal.integrations.kubernetes.errors import MISSING
from releases.catalog.discovery import Json

PATHS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "Rollout": "/apis/argoproj.io/v1alpha1/namespaces/{}/rollouts",
    "Service": "/api/v1/namespaces/{}/services",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "CronJob": "/apis/batch/v1/namespaces/{}/cronjobs",
    "Pod": "/api/v1/namespaces/{}/pods",
}
NEEDED = ("Deployment", "StatefulSet", "Service")


def read_namespace(cluster: Cluster, namespace: str) -> tuple[dict[str, list[Json]], list[str]]:
    """Read the objects of a namespace by kind, and the kinds that may not be read.

    Raises:
        NotFound: there is no such namespace.
        PermanentError: workloads and Services may not be read.
        TemporaryError: the cluster does not answer.
    """
    _require_namespace(cluster, namespace)
    listed: dict[str, list[Json]] = {}
    unread: list[str] = []
    for kind, path in PATHS.items():
        try:
            listed[kind] = cluster.get(path.format(namespace)).get("items") or []
        except PermanentError as error:
            if kind in NEEDED:
                raise
            # A cluster that knows no such kind holds none of it.
            if error.code != MISSING:
                unread.append(kind)
    return listed, unread


def _require_namespace(cluster: Cluster, namespace: str) -> None:
    try:
        cluster.get(f"/api/v1/namespaces/{namespace}")
    except PermanentError as error:
        # Whoever may read inside a namespace need not be allowed to read the namespace itself.
        if error.code == "missing":
            raise NotFound(error.detail) from error
