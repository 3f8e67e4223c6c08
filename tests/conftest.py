"""Starts Django on the servers of the run; leaves browser tests out where there is no browser."""

import os

import django
import pytest
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from tests.chromium import find_chromium

# At import: the conftest files of the folders below import models, which need settings.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from tests import emptying  # noqa: E402
from tests.people import cast  # noqa: E402, F401  a fixture for every test

emptying.use()

NO_BROWSER = "Chromium is missing: tests in a real browser are not run. Install it, or name it in CHROMIUM."


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Let the tests empty the record between them; its other guards stay."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditentry DISABLE TRIGGER audit_no_truncate")


def pytest_configure() -> None:
    """Refuse to go on without a browser in CI, where nothing may be left out."""
    if os.environ.get("CI") and find_chromium() is None:
        raise pytest.UsageError(NO_BROWSER)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that drive a browser where there is none."""
    if find_chromium() is not None:
        return
    left_out = [item for item in items if item.get_closest_marker("browser")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out."""
    if find_chromium() is None:
        terminalreporter.write_line(NO_BROWSER, yellow=True)
