"""Starts Django on the servers of the run; leaves browser tests out where there is no browser."""

import os
from pathlib import Path

import django
import hypothesis
import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.chromium import find_chromium

# At import: the conftest files of the folders below import models, which need settings.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from tests import database, emptying  # noqa: E402
from tests.embedded.whole import whole_portal  # noqa: E402, F401  fixtures for every test
from tests.faults import matrix  # noqa: E402
from tests.people import cast  # noqa: E402, F401

emptying.use()
# How long one example takes says nothing on a busy machine.
SLOW = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("portal", deadline=None, suppress_health_check=SLOW)
hypothesis.settings.load_profile("portal")

NO_BROWSER = "Chromium is missing: tests in a real browser are not run. Install it, or name it in CHROMIUM."


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Give the worker a database; the server goes at the end of the run, and all of them with it."""
    with django_db_blocker.unblock():
        database.prepare(Path(os.environ["PORTAL_DATA"]))


def pytest_configure() -> None:
    """Refuse to go on without a browser in CI, where nothing may be left out."""
    if os.environ.get("CI") and find_chromium() is None:
        raise pytest.UsageError(NO_BROWSER)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of the fault matrix; leave out those that drive a browser where there is none."""
    matrix.mark(items)
    if find_chromium() is not None:
        return
    left_out = [item for item in items if item.get_closest_marker("browser")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out."""
    if find_chromium() is None:
        terminalreporter.write_line(NO_BROWSER, yellow=True)
