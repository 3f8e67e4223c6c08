"""The live app."""

from django.apps import AppConfig


class LiveConfig(AppConfig):
    """Events to browsers."""

    name = "portal.live"
    label = "live"
