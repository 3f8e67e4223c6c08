"""The administration app; its rows are those of portal.people."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from portal.audit.actions import register
from portal.notices import kinds


class AdministrationConfig(AppConfig):
    """Ends ways into accounts, and shows what closing one would mean."""

    name = "portal.administration"
    label = "administration"

    def ready(self) -> None:
        """Name the acts this app records, and the messages it writes."""
        from portal.administration import notices  # noqa: PLC0415  models are not loaded before

        register(
            {
                "session.all_ended": _("Signed out everywhere"),
                "factor.reset": _("Second factors reset"),
            }
        )
        kinds.register({notices.KIND: _("The safety of my account")})
