"""The outbox app."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """Messages that leave."""

    name = "portal.outbox"
    label = "outbox"
