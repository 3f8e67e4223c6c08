"""The people app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from portal.audit.actions import register


class PeopleConfig(AppConfig):
    """Users, teams and roles."""

    name = "portal.people"
    label = "people"

    def ready(self) -> None:
        """Name the acts this app records."""
        register(
            {
                "person.created": _("Person created"),
                "person.changed": _("Person changed"),
                "person.deactivated": _("Person deactivated"),
                "person.activated": _("Person activated again"),
                "role.granted": _("Role granted"),
                "role.revoked": _("Role revoked"),
                "token.created": _("Access token created"),
                "token.revoked": _("Access token revoked"),
                "session.started": _("Signed in"),
                "session.refused": _("Sign-in refused"),
                "session.ended": _("Signed out"),
            }
        )
