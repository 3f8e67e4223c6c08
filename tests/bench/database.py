"""A PostgreSQL of its own for benchmarks that measure within one process."""

import os
from collections.abc import Callable

import django

from tests.bench.row import Row
from tests.services import TestServices


def with_database(measure: Callable[[], list[Row]]) -> list[Row]:
    """Start the servers, migrate, measure, end the servers."""
    services = TestServices()
    services.start()
    try:
        os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
        os.environ["DEMO"] = "full"
        os.environ["ALLOWED_HOSTS"] = "testserver"
        django.setup()
        from django.core.management import call_command  # noqa: PLC0415  needs settings
        from django.db import connections  # noqa: PLC0415

        call_command("migrate", verbosity=0, interactive=False, skip_checks=True)
        rows = measure()
        connections.close_all()
        return rows
    finally:
        services.stop()
