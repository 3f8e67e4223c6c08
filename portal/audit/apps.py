"""The audit app."""

import importlib

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from portal.audit.actions import register


class AuditConfig(AppConfig):
    """The record."""

    name = "portal.audit"
    label = "audit"

    def ready(self) -> None:
        """Register the daily verification and the hourly checkpoint; name the acts of this app."""
        importlib.import_module("portal.audit.jobs")
        importlib.import_module("portal.record_live").register()
        register(
            {
                "record.key": _("Key of the record introduced"),
                "record.removed": _("Beginning of the record removed"),
            }
        )
