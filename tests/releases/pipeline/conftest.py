"""A shop with a CI system that may start its releases."""

import pytest

from portal.people.operations import create_person, grant_role
from releases.catalog import rights
from releases.catalog.models import Connection, Plan
from tests.factories import Shop, make_environment
from tests.people import BY_THE_PORTAL
from tests.releases.pipeline.signing import SECRET

WAVES = {"waves": [{"title": "All", "services": ["shopping-service"]}]}


@pytest.fixture
def ci(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The shop with a development environment that follows main, and a CI system that may start it."""
    monkeypatch.setenv("CI_SECRET", SECRET)
    development = make_environment(
        shop,
        "shop-dev",
        stage="development",
        cluster_group="production",
        protected=False,
        spec={"triggers": [{"event": "push", "pattern": "main"}]},
    )
    Plan.objects.create(name="shop-dev", spec=WAVES).environments.add(development)
    shop.shopping.environments.add(development)
    shop.shopping.spec["source"] = {"repository": "shop/shop", "version": "main-{short}"}
    shop.shopping.save()
    production = shop.environment
    production.spec = {"triggers": [{"event": "tag", "pattern": "v*", "approval": True}]}
    production.save()
    for kind in ("ci", "gitlab", "github"):
        spec = {
            "kind": kind,
            "secretRef": "env:CI_SECRET",
            "account": "robot",
            "repositories": ["shop/shop", "shop/other"],
        }
        Connection.objects.create(name=f"shop-{kind}", kind=kind, spec=spec)
    create_person("robot", actor=BY_THE_PORTAL, name="Robot")
    grant_role("robot", role="release_manager", scope="team:commerce", actor=BY_THE_PORTAL)
    rights.grant()
    return shop
