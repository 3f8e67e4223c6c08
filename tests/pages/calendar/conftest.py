"""The shop for tests of the calendar."""

from tests.factories import registry, shop

__all__ = ["registry", "shop"]
