"""The account that is shipped for the portal, as the tests use it on their clusters."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.cluster.api import Api, Json

GROUP = "rbac.authorization.k8s.io"

ACCOUNT = Path(__file__).resolve().parents[2] / "deploy" / "account.yaml"
# What docs/production.md adds for some: here for Argo CD, and for the manifests of tests.
BESIDES: list[Json] = [
    {"apiGroups": ["argoproj.io"], "resources": ["applications"], "verbs": ["get"]},
]


def shipped() -> list[Json]:
    """The rules of the account as it is shipped."""
    _account, role = yaml.safe_load_all(ACCOUNT.read_text())
    rules: list[Json] = role["rules"]
    return rules


def role(name: str, *, without: str = "") -> Json:
    """Return the cluster role with the portal's rights, but for those on one resource."""
    rules = [
        {**each, "resources": [name for name in each["resources"] if name != without]}
        for each in (*shipped(), *BESIDES)
    ]
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [each for each in rules if each["resources"]],
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
def portal_account(admin: Api, *, without: str = "") -> Iterator[Api]:
    """Give the portal's rights to a new service account, and the API as that account sees it.

    Args:
        without: a resource on which it gets none.
    """
    name = f"portal-test-{secrets.token_hex(4)}"
    account = f"api/v1/namespaces/default/serviceaccounts/{name}"
    admin.create(
        "api/v1/namespaces/default/serviceaccounts",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
    )
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
    admin.create(f"apis/{GROUP}/v1/clusterroles", role(name, without=without))
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
