"""What tests of incidents stand on."""

import pytest

from releases.incidents import operations
from releases.incidents.models import Incident
from tests.factories import Shop, registry, shop
from tests.people import acting

__all__ = ["incident", "registry", "shop"]


@pytest.fixture
def incident(shop: Shop) -> Incident:
    """The shopping service is in trouble."""
    return open_here(shop)


def open_here(shop: Shop, **more: object) -> Incident:
    """Open an incident of the shopping service as the author."""
    place = (shop.shopping.name, shop.environment.name)
    found, _made = operations.open_incident(*place, actor=acting(shop.cast.author), **more)  # type: ignore[arg-type]
    return found
