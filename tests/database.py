"""The databases of a run: migrated once, and copied for each worker of xdist."""

import fcntl
import os
from pathlib import Path

from django.db import connection
from django.db.backends.base.creation import TEST_DATABASE_PREFIX

MIGRATED = "database-is-migrated"


def prepare(folder: Path) -> None:
    """Give this process a migrated database of its own.

    Args:
        folder: the run's own; what is kept there tells the processes of one run who migrates.
    """
    migrated = f"{TEST_DATABASE_PREFIX}{connection.settings_dict['NAME']}"
    with (folder / "database.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / MIGRATED).exists():
            _migrate()
            (folder / MIGRATED).touch()
        connection.close()
        connection.settings_dict["NAME"] = migrated
        if worker := os.environ.get("PYTEST_XDIST_WORKER", ""):
            connection.creation.clone_test_db(suffix=worker, verbosity=0, autoclobber=True)
            connection.settings_dict["NAME"] = f"{migrated}_{worker}"


def _migrate() -> None:
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    with connection.cursor() as cursor:
        # Tests empty the record between them; its other guards stay.
        cursor.execute("ALTER TABLE audit_auditentry DISABLE TRIGGER audit_no_truncate")
        cursor.execute("ALTER TABLE audit_checkpoint DISABLE TRIGGER audit_checkpoint_no_truncate")
