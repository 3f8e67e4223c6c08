"""What Argo CD would undo is not patched: named in the dry run, refused at the start and before the write."""

import contextlib
import secrets
from collections.abc import Callable, Iterator

import pytest

from portal.integrations.argo.ownership import TRACKING_ID
from releases.catalog.models import Connection
from releases.rollouts import plans
from tests.cluster.api import Json
from tests.cluster.argo_rollouts.controller import DEFINITIONS
from tests.cluster.conftest import Cluster
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import wait_for
from tests.rollouts.floor import Floor, drive, why
from tests.soak import long

ENDS = ("failed", "succeeded", "paused")
Owned = Callable[..., Floor]


@pytest.fixture(scope="module")
def applications(cluster: Cluster) -> Iterator[Cluster]:
    """A cluster that knows Applications: as Argo CD defines them, the status is a part of the whole."""
    if cluster.kind == "real":
        cluster.admin.create(DEFINITIONS, _definition())
        served = "apis/argoproj.io/v1alpha1/applications"
        wait_for(lambda: cluster.admin.ask("GET", served).code == 200, what="Applications to be served")
    yield cluster
    if cluster.kind == "real":
        cluster.admin.delete(f"{DEFINITIONS}/applications.argoproj.io")


@pytest.fixture
def owned(lay_floor: Lay, applications: Cluster) -> Iterator[Owned]:
    """Lays a floor whose workload is tracked by an Application with the given policy."""
    name = f"argocd-{secrets.token_hex(3)}"
    admin = applications.admin
    admin.create("api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def make(policy: Json | None, **options: object) -> Floor:
        floor = lay_floor(**options)
        connection = Connection.objects.get(pk=floor.environment.cluster_id)
        connection.spec = {**connection.spec, "argocdNamespace": name}
        connection.save(update_fields=["spec"])
        _tracked(floor)
        if policy is not None:
            admin.create(f"apis/argoproj.io/v1alpha1/namespaces/{name}/applications", _application(policy))
        return floor

    yield make
    with contextlib.suppress(Exception):
        admin.delete(f"api/v1/namespaces/{name}")


def _definition() -> Json:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Application", "plural": "applications", "singular": "application"}
    spec = {"group": "argoproj.io", "scope": "Namespaced", "names": names, "versions": [version]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "applications.argoproj.io"},
        "spec": spec,
    }


def _application(policy: Json) -> Json:
    destination = {"server": "https://kubernetes.default.svc", "namespace": "default"}
    spec = {"project": "default", "destination": destination, "source": {}, "syncPolicy": policy}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "shop"},
        "spec": spec,
    }


def _tracked(floor: Floor) -> None:
    tracking = f"shop:apps/Deployment:{floor.space.name}/api"
    floor.space.patch("deployments", "api", {"metadata": {"annotations": {TRACKING_ID: tracking}}})
    floor.space.settle("api")


@long
def test_a_workload_that_heals_itself_is_named_in_the_dry_run_and_refused(owned: Owned) -> None:
    floor = owned({"automated": {"selfHeal": True}})
    errors = plans.preview(floor.release()).errors
    assert {each.kind for each in errors} == {"access_check", "set_image"}
    assert all("shop" in each.error and "Git" in each.error for each in errors)
    rollout = drive(floor.start("3.0.0"), *ENDS)
    failure = rollout.steps.get(state="failed").failure
    assert failure is not None
    assert (rollout.state, failure["code"]) == ("failed", "argo_managed")
    assert rollout.steps.get(kind="set_image").state == "waiting"
    assert floor.image("api").endswith(":1.0.0")


@long
def test_it_is_asked_again_before_the_write(owned: Owned) -> None:
    floor = owned({"automated": {"selfHeal": True}}, before=())
    rollout = drive(floor.start(), *ENDS)
    step = rollout.steps.get(state="failed")
    assert step.failure is not None
    assert (step.kind, step.failure["code"]) == ("set_image", "argo_managed")
    assert floor.image("api").endswith(":1.0.0")


@long
def test_where_the_application_cannot_be_read_it_is_refused_too(owned: Owned) -> None:
    floor = owned(None)
    rollout = drive(floor.start(), *ENDS)
    failure = rollout.steps.get(kind="access_check").failure
    assert failure is not None
    assert (rollout.state, failure["code"]) == ("failed", "argo_unread")
    assert "not found" in failure["message"]


@long
def test_an_application_that_leaves_changes_alone_forbids_nothing(owned: Owned) -> None:
    floor = owned({"automated": {"prune": True}})
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    assert floor.image("api") == floor.wanted("api", "2.0.0")
