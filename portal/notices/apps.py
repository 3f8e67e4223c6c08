"""The notices app."""

import importlib

from django.apps import AppConfig


class NoticesConfig(AppConfig):
    """What people want to be told, and how."""

    name = "portal.notices"
    label = "notices"

    def ready(self) -> None:
        """Register the sweep."""
        importlib.import_module("portal.notices.jobs")
