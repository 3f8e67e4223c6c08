"""The shop for tests of approvals."""

from tests.factories import registry, shop

__all__ = ["registry", "shop"]
