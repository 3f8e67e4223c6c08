"""Where it goes is part of what was approved: a connection that leads elsewhere voids the approval."""

from pathlib import Path

import pytest
from django.utils import translation

from portal.actors import Actor
from releases import operations
from releases.catalog.files import load_folder
from releases.catalog.models import Connection, Plan
from releases.models import Release
from releases.reading.deciding import content_lines
from releases.start import still_approved
from tests.factories import Shop, make_release, roll_out
from tests.people import acting
from tests.portal.api import ApiClient
from tests.soak import long

pytestmark = pytest.mark.django_db
CLUSTER = {"kubeconfigRef": "env:SHOP", "context": "production"}
WAVES = {"waves": [{"title": "All", "services": ["shopping-service"]}]}
DOCUMENT = """\
apiVersion: portal/v1
kind: Connection
metadata: {{name: shop-cluster}}
spec: {{kind: kubernetes, {spec}}}
"""


@pytest.fixture
def placed(shop: Shop) -> Shop:
    """The shop with a plan to roll out, on a cluster and with a registry that connections lead to."""
    Plan.objects.filter(pk=shop.plan.pk).update(spec=WAVES)
    Connection.objects.filter(name="shop-cluster").update(spec=CLUSTER)
    spec = {"host": "registry.practice", "url": "https://registry.practice", "passwordRef": "env:OLD"}
    Connection.objects.create(name="shop-registry", kind="registry", spec=spec)
    return shop


def load_cluster(folder: Path, spec: str) -> None:
    """Load a catalog that says where the cluster is."""
    (folder / "cluster.yaml").write_text(DOCUMENT.format(spec=spec))
    load_folder(folder, actor=Actor.portal("a test", door="cli"))


@long
def test_a_catalog_that_repoints_the_cluster_holds_the_start_and_says_where_to(
    placed: Shop, tmp_path: Path
) -> None:
    release = make_release(placed, at="approved")
    load_cluster(tmp_path, 'kubeconfigRef: "env:ANOTHER", context: production')
    answer = ApiClient(placed.cast.author).post(f"/releases/{release.number}/start")
    assert (answer.status_code, answer.json()["code"]) == (409, "digest")
    (missing,) = answer.json()["missing"]
    assert "shop-cluster" in missing["text"]
    assert "context: production, kubeconfigRef: env:ANOTHER" in missing["text"]
    assert "context: production, kubeconfigRef: env:SHOP" in missing["text"]
    assert not release.rollouts.exists()


@long
def test_a_catalog_that_only_describes_the_cluster_keeps_the_approval(placed: Shop, tmp_path: Path) -> None:
    release = make_release(placed, at="approved")
    load_cluster(tmp_path, 'kubeconfigRef: "env:SHOP", context: production, description: "in the cellar"')
    answer = ApiClient(placed.cast.author).post(f"/releases/{release.number}/start")
    assert answer.status_code == 201


@long
@pytest.mark.parametrize("spec", [{"kubeconfigRef": "env:SHOP"}, {"inCluster": True}])
def test_a_cluster_repointed_under_a_rollout_is_noticed_before_the_next_wave(
    placed: Shop, spec: dict[str, object]
) -> None:
    release = make_release(placed, at="approved")
    roll_out(release, placed)
    assert still_approved(Release.objects.get(pk=release.pk)) == []
    Connection.objects.filter(name="shop-cluster").update(spec=spec)
    (missing,) = still_approved(Release.objects.get(pk=release.pk))
    assert (missing["code"], "shop-cluster" in missing["text"]) == ("digest", True)


@long
def test_a_registry_elsewhere_is_another_content_and_its_login_is_not(placed: Shop) -> None:
    release = make_release(placed, at="approved")
    registry = Connection.objects.get(name="shop-registry")
    registry.spec |= {"passwordRef": "env:NEW"}
    registry.save(update_fields=["spec"])
    assert still_approved(Release.objects.get(pk=release.pk)) == []
    registry.spec |= {"url": "https://mirror.example"}
    registry.save(update_fields=["spec"])
    (missing,) = still_approved(Release.objects.get(pk=release.pk))
    assert "https://mirror.example" in missing["text"]


def test_a_draft_follows_its_connection_until_it_is_submitted(placed: Shop) -> None:
    release = make_release(placed)
    Connection.objects.filter(name="shop-cluster").update(spec={"kubeconfigRef": "env:ANOTHER"})
    release = operations.submit_release(release.number, actor=acting(placed.cast.author))
    with translation.override("en"):
        assert "Connection shop-cluster: kubeconfigRef: env:ANOTHER" in content_lines(release.content)
    assert "digest" not in {entry["code"] for entry in still_approved(Release.objects.get(pk=release.pk))}
