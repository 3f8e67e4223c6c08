"""The catalog app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from portal.audit.actions import register


class CatalogConfig(AppConfig):
    """What there is to release, where, and how."""

    name = "releases.catalog"
    label = "catalog"

    def ready(self) -> None:
        """Name the acts this app records."""
        register({"catalog.loaded": _("Catalog loaded")})
