"""Empties the database after a test that committed: the tables it filled, and nothing that never changes."""

from django.db import connection, transaction
from django.test import TransactionTestCase
from psycopg import sql

# Filled once by the migrations; Django's flush would empty and fill them again after every such test.
KEPT = {"django_content_type", "auth_permission"}


def empty_database() -> None:
    """Truncate the tables that hold rows, and with them those that point at these."""
    tables = set(connection.introspection.django_table_names(only_existing=True)) - KEPT
    has_rows = sql.SQL("SELECT {text} WHERE EXISTS (SELECT FROM {table})")
    asked = [has_rows.format(text=sql.Literal(table), table=sql.Identifier(table)) for table in tables]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SET LOCAL lock_timeout = '20s'"
        )  # a thread that never lets go fails a test, not the run
        cursor.execute(sql.SQL(" UNION ALL ").join(asked))
        filled = [sql.Identifier(table) for (table,) in cursor.fetchall()]
        if filled:
            cursor.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(filled)))


def use() -> None:
    """Let every test that commits end with this instead of Django's flush."""
    TransactionTestCase._fixture_teardown = lambda _case: empty_database()  # type: ignore[attr-defined]
