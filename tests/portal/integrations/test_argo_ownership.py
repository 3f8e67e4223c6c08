"""Which marks of Argo CD count, and which Applications undo what others change."""

from typing import Any

import pytest

from portal.errors import PermanentError
from portal.integrations.argo.ownership import Claim, Owner, claim_of, heals, lists, owner_of
from portal.integrations.kubernetes.workloads import Workload, with_holder

Json = dict[str, Any]
HERE = "shop:apps/Deployment:prod/web"
HEALING: Json = {"automated": {"selfHeal": True}}


def workload(*, tracking: str = "", kind: str = "Deployment", **labels: str) -> Workload:
    annotations = {"argocd.argoproj.io/tracking-id": tracking} if tracking else {}
    metadata = {"name": "web", "namespace": "prod", "annotations": annotations, "labels": labels}
    return Workload({"kind": kind, "metadata": metadata, "spec": {}})


@pytest.mark.parametrize(
    ("seen", "claim"),
    [
        (workload(), None),
        (workload(tracking=HERE), Claim("shop", certain=True)),
        (workload(tracking="tools_shop:apps/Deployment:prod/web"), Claim("shop", "tools", certain=True)),
        # A manifest that was copied carries the mark of its original.
        (workload(tracking="shop:apps/Deployment:prod/other"), None),
        (workload(tracking="shop:apps/Deployment:staging/web"), None),
        (workload(tracking="shop:apps/StatefulSet:prod/web"), None),
        (workload(tracking="shop:/Deployment:prod/web"), None),
        (workload(tracking="nonsense"), None),
        (
            workload(kind="Rollout", tracking="shop:argoproj.io/Rollout:prod/web"),
            Claim("shop", certain=True),
        ),
        (workload(kind="Rollout", tracking="shop:apps/Rollout:prod/web"), None),
        (workload(**{"argocd.argoproj.io/instance": "shop"}), Claim("shop")),
        (workload(**{"app.kubernetes.io/instance": "shop"}), Claim("shop", common=True)),
    ],
)
def test_a_mark_counts_only_where_it_names_this_very_object(seen: Workload, claim: Claim | None) -> None:
    assert claim_of(seen) == claim


def test_what_counts_is_the_object_on_which_the_template_stands() -> None:
    annotations = {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:prod/held"}
    held = {"metadata": {"name": "held", "namespace": "prod", "annotations": annotations}, "spec": {}}
    rollout = workload(kind="Rollout").raw | {"spec": {"workloadRef": {"name": "held"}}}
    assert claim_of(Workload(with_holder(rollout, [held]))) == Claim("shop", certain=True)


@pytest.mark.parametrize(
    ("policy", "undone"),
    [
        (None, False),
        ({}, False),
        ({"automated": None}, False),
        ({"automated": {}}, False),
        ({"automated": {"prune": True}}, False),
        ({"automated": {"selfHeal": False}}, False),
        (HEALING, True),
        ({"automated": {"selfHeal": True, "enabled": True}}, True),
        ({"automated": {"selfHeal": True, "enabled": False}}, False),
    ],
)
def test_only_automated_self_heal_that_is_switched_on_undoes(policy: Json | None, *, undone: bool) -> None:
    assert heals({"spec": {"syncPolicy": policy}}) is undone


class Answering:
    """A cluster that knows one Application, or refuses."""

    def __init__(self, found: Json | PermanentError) -> None:
        self.found = found
        self.asked: list[str] = []

    def get(self, path: str) -> Json:
        self.asked.append(path)
        if isinstance(self.found, PermanentError):
            raise self.found
        return self.found


LISTED = [{"group": "apps", "kind": "Deployment", "namespace": "prod", "name": "web", "version": "v1"}]
UNREAD = PermanentError("applications is forbidden", code="forbidden")


@pytest.mark.parametrize(
    ("seen", "found", "owner"),
    [
        (workload(tracking=HERE), {"spec": {"syncPolicy": HEALING}}, Owner("shop", heals=True)),
        (workload(tracking=HERE), {"spec": {}}, Owner("shop", heals=False)),
        (workload(tracking=HERE), UNREAD, Owner("shop", heals=False, unread="applications is forbidden")),
        # A label names no object: the Application has to list it.
        (
            workload(**{"argocd.argoproj.io/instance": "shop"}),
            {"spec": {"syncPolicy": HEALING}, "status": {"resources": LISTED}},
            Owner("shop", heals=True),
        ),
        (workload(**{"argocd.argoproj.io/instance": "shop"}), {"spec": {"syncPolicy": HEALING}}, None),
        (
            workload(**{"argocd.argoproj.io/instance": "shop"}),
            UNREAD,
            Owner("shop", heals=False, unread="applications is forbidden"),
        ),
        (
            workload(**{"app.kubernetes.io/instance": "shop"}),
            {"spec": {"syncPolicy": HEALING}, "status": {"resources": LISTED}},
            Owner("shop", heals=True),
        ),
        # Helm gives this label too.
        (workload(**{"app.kubernetes.io/instance": "shop"}), UNREAD, None),
    ],
)
def test_who_owns_it(seen: Workload, found: Json | PermanentError, owner: Owner | None) -> None:
    cluster = Answering(found)
    assert owner_of(cluster, seen) == owner  # type: ignore[arg-type]
    assert cluster.asked == ["/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/shop"]


def test_an_application_is_looked_for_where_its_mark_or_the_connection_says() -> None:
    cluster = Answering({"spec": {}})
    owner_of(cluster, workload(tracking="tools_shop:apps/Deployment:prod/web"), namespace="gitops")  # type: ignore[arg-type]
    owner_of(cluster, workload(tracking=HERE), namespace="gitops")  # type: ignore[arg-type]
    assert [path.split("/")[5] for path in cluster.asked] == ["tools", "gitops"]


def test_an_application_lists_what_it_owns() -> None:
    written = workload().written
    assert lists({"status": {"resources": LISTED}}, written)
    assert not lists({"status": {"resources": [{**LISTED[0], "namespace": "staging"}]}}, written)
    assert not lists({}, written)
