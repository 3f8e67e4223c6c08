"""A database role that does not own the record can add to it, and change nothing in it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import ProgrammingError, connection
from psycopg import sql

from portal.audit import grants, operations
from portal.audit.models import AuditEntry
from tests.doors.test_doctor import doctor, said
from tests.portal.audit.signing import new_key, write
from tests.soak import long

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def role(transactional_db: None) -> Iterator[str]:
    """A role of the application alone, which this test's connection takes; made by who may make roles."""
    at = connection.settings_dict
    secret = Path(os.environ["PORTAL_DATA"]) / "postgres" / "postgres.password"
    # On a server of one's own the tests' account makes the role, or the server says that it may not.
    maker = ("postgres", secret.read_text()) if secret.exists() else (at["USER"], at["PASSWORD"])
    name = f"{at['NAME']}_app"
    with psycopg.connect(
        host=at["HOST"],
        port=at["PORT"],
        user=maker[0],
        password=maker[1],
        dbname=at["NAME"],
        autocommit=True,
    ) as superuser:
        superuser.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
        superuser.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(name), sql.Identifier(at["USER"])))
        try:
            yield name
        finally:
            with connection.cursor() as cursor:
                cursor.execute("RESET ROLE")
            superuser.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
            superuser.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@long
def test_after_the_owner_migrated_the_role_adds_entries_and_checkpoints_and_changes_none(
    role: str, settings: Any
) -> None:
    settings.AUDIT_KEY = new_key()
    settings.APPLICATION_ROLE = role
    call_command("migrate", verbosity=0)
    assert said(doctor()[1], "append-only")[0][0] == "remark"
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        write(1, 2)
        operations.sign_head()
        assert operations.verify_chain().checkpoints == 1
        assert said(doctor()[1], "append-only")[0][0] == "good"
        for table in grants.APPEND_ONLY:
            for act in ("UPDATE {} SET number = 9", "DELETE FROM {}", "TRUNCATE {}"):
                with pytest.raises(ProgrammingError, match="permission denied"):
                    cursor.execute(sql.SQL(act).format(sql.Identifier(table)))
        with pytest.raises(ProgrammingError, match="must be owner"):
            cursor.execute("ALTER TABLE audit_auditentry DISABLE TRIGGER USER")
    assert AuditEntry.objects.count() == 3
