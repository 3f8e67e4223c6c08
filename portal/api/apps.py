"""The api app."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """The shell of API v1."""

    name = "portal.api"
    label = "api"
