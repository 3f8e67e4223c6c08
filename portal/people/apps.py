"""The people app."""

import importlib

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
                "factor.added": _("Second factor added"),
                "factor.shown": _("Second factor shown"),
                "factor.removed": _("Second factor removed"),
            }
        )
        second_factor = importlib.import_module("portal.people.second_factor")
        second_factor.watch()
