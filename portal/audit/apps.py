"""The audit app."""

import importlib

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """The record."""

    name = "portal.audit"
    label = "audit"

    def ready(self) -> None:
        """Register the daily verification."""
        importlib.import_module("portal.audit.jobs")
