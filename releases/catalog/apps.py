"""The catalog app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from portal import asked
from portal.audit.actions import register


class CatalogConfig(AppConfig):
    """What there is to release, where, and how."""

    name = "releases.catalog"
    label = "catalog"

    def ready(self) -> None:
        """Name the acts this app records, and say over what roles can be granted and freezes hold."""
        # The models are loaded only now.
        from approvals.calendar import places  # noqa: PLC0415
        from portal.people import roles  # noqa: PLC0415
        from releases.catalog import scopes  # noqa: PLC0415
        from releases.catalog.policies import jobs, queries  # noqa: F401, PLC0415  registers its sweep

        asked.register(queries.any_open)
        register({"catalog.loaded": _("Catalog loaded")})
        roles.THERE.update(scopes.THERE)
        places.use(scopes.MAP)
