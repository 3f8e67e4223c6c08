"""The api app."""

import importlib

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """The shell of API v1."""

    name = "portal.api"
    label = "api"

    def ready(self) -> None:
        """Register the sweep and what the ground measures."""
        importlib.import_module("portal.api.jobs")
        importlib.import_module("portal.api.readings")
