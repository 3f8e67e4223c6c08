"""The shop for tests of doors that need more than people."""

from tests.factories import registry, shop

__all__ = ["registry", "shop"]
