"""What tests of schedules stand on."""

from tests.factories import registry, shop

__all__ = ["registry", "shop"]
