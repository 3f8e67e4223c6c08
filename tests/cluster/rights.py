"""The rights that the portal asks of a cluster, as an account of the tests gets them."""

import contextlib
import secrets
from collections.abc import Iterator

from tests.cluster.api import Api, Json

GROUP = "rbac.authorization.k8s.io"

# What the portal's own account may do; nothing on secrets, no creation or deletion of workloads.
PORTAL_RULES: list[Json] = [
    {
        "apiGroups": ["apps"],
        "resources": ["deployments", "statefulsets", "daemonsets"],
        "verbs": ["get", "list", "watch", "patch"],
    },
    {
        "apiGroups": ["apps"],
        "resources": ["deployments/scale", "statefulsets/scale"],
        "verbs": ["get", "patch", "update"],
    },
    {
        "apiGroups": ["apps"],
        "resources": ["replicasets", "controllerrevisions"],
        "verbs": ["get", "list", "watch"],
    },
    {
        "apiGroups": ["", "discovery.k8s.io"],
        "resources": ["pods", "events", "endpointslices", "configmaps", "resourcequotas", "limitranges"],
        "verbs": ["get", "list", "watch"],
    },
    {"apiGroups": [""], "resources": ["pods/log", "pods/proxy"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "watch", "patch"]},
    {
        "apiGroups": ["autoscaling"],
        "resources": ["horizontalpodautoscalers"],
        "verbs": ["get", "list", "watch", "patch"],
    },
    {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["httproutes"], "verbs": ["get", "patch"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "watch", "delete"]},
    {
        "apiGroups": ["argoproj.io"],
        "resources": ["rollouts", "rollouts/status"],
        "verbs": ["get", "list", "watch", "patch"],
    },
    {"apiGroups": ["argoproj.io"], "resources": ["applications"], "verbs": ["get"]},
    {"apiGroups": ["batch"], "resources": ["cronjobs"], "verbs": ["get"]},
    {"apiGroups": ["metrics.k8s.io"], "resources": ["pods"], "verbs": ["list"]},
]


def role(name: str) -> Json:
    """Return the cluster role with the portal's rights."""
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": PORTAL_RULES,
    }


def binding(name: str, *, subject: Json) -> Json:
    """Return the binding that gives a user or service account the role of the same name."""
    reference = {"apiGroup": GROUP, "kind": "ClusterRole", "name": name}
    metadata = {"name": name}
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": reference,
        "subjects": [subject],
    }


@contextlib.contextmanager
def portal_account(admin: Api) -> Iterator[Api]:
    """Give the portal's rights to a new service account, and the API as that account sees it."""
    name = f"portal-test-{secrets.token_hex(4)}"
    account = f"api/v1/namespaces/default/serviceaccounts/{name}"
    admin.create(
        "api/v1/namespaces/default/serviceaccounts",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
    )
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
    admin.create(f"apis/{GROUP}/v1/clusterroles", role(name))
    admin.create(f"apis/{GROUP}/v1/clusterrolebindings", binding(name, subject=subject))
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 7200},
    }
    try:
        yield admin.as_user(admin.create(f"{account}/token", request)["status"]["token"])
    finally:
        for path in (
            f"apis/{GROUP}/v1/clusterrolebindings/{name}",
            f"apis/{GROUP}/v1/clusterroles/{name}",
            account,
        ):
            admin.delete(path)
