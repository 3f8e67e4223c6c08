"""Starts the servers of the test run and Django."""

import os

import django
import pytest
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from tests.services import TestServices

# At import: the conftest files of the folders below import models, which need settings and a database.
TestServices().start()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Let the tests empty the record between them; its other guards stay."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditentry DISABLE TRIGGER audit_no_truncate")
