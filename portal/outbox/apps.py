"""The outbox app."""

import importlib

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """Messages that leave."""

    name = "portal.outbox"
    label = "outbox"

    def ready(self) -> None:
        """Register the sweep."""
        importlib.import_module("portal.outbox.jobs")
