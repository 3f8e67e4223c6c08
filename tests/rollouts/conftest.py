"""What tests of rollouts stand on."""

import pytest
from django.db import transaction

from releases.catalog.models import Plan
from releases.rollouts import operations
from releases.rollouts.graph import Node
from releases.rollouts.models import Rollout
from tests.factories import Shop, make_release, registry, roll_out, shop

__all__ = ["registry", "shop"]
SERVICES = ("shopping-service", "payment-service", "auth-service")


@pytest.fixture
def notices(shop: Shop) -> Rollout:
    """A rollout of three notices one after the other: nothing that needs a cluster."""
    keys = ("first", "second", "third")
    nodes = [
        Node(key=key, kind="notice", position=at, depends_on=keys[:at][-1:], params={"section": "before"})
        for at, key in enumerate(keys)
    ]
    release = make_release(shop, at="approved")
    with transaction.atomic():
        made = roll_out(release, shop)
        operations.write_steps(made, nodes)
    return made


@pytest.fixture
def planned(shop: Shop) -> Shop:
    """The shop, whose plan has a wave for each service."""
    waves = [{"title": name, "services": [name]} for name in SERVICES]
    Plan.objects.filter(pk=shop.plan.pk).update(spec={"waves": waves, "each": [{"kind": "set_image"}]})
    return shop
