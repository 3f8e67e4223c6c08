"""The audit app."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """The record."""

    name = "portal.audit"
    label = "audit"
