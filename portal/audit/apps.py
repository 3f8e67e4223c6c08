"""The audit app."""

import importlib

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

from portal.audit.actions import register
from portal.audit.grants import give_application


class AuditConfig(AppConfig):
    """The record."""

    name = "portal.audit"
    label = "audit"

    def ready(self) -> None:
        """Register the daily verification, the hourly checkpoint, the grants, and the acts of this app."""
        importlib.import_module("portal.audit.jobs")
        importlib.import_module("portal.record_live").register()
        post_migrate.connect(give_application, sender=self)
        register(
            {
                "record.key": _("Key of the record introduced"),
                "record.removed": _("Beginning of the record removed"),
            }
        )
