"""The delegations app; its rows are those of portal.people."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from portal.audit.actions import register
from portal.notices import kinds


class DelegationsConfig(AppConfig):
    """Who decides for whom, and until when."""

    name = "portal.delegations"
    label = "delegations"

    def ready(self) -> None:
        """Name the acts this app records, and tell people when a delegation ends early."""
        from portal.delegations import notices  # noqa: PLC0415  models are not loaded before
        from portal.people import ending  # noqa: PLC0415  as above

        register(
            {
                "delegation.given": _("Delegation given"),
                "delegation.ended": _("Delegation ended early"),
                "delegation.refused": _("Delegation refused"),
            }
        )
        kinds.register({notices.KIND: _("Delegations to and from me")})
        ending.TOLD.append(notices.tell_ended)
