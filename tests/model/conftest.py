"""The shop for tests of releases."""

from tests.factories import registry, shop

__all__ = ["registry", "shop"]
