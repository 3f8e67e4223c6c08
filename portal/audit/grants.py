"""SQL for a database whose application role does not own the tables (attacks.md, section 2).

The owner migrates; the application reads and writes everything else, and can only add to the record. The
trigger that numbers entries runs with its owner's rights, so that this is enough.
"""

from django.conf import settings
from django.db import connection
from psycopg import sql

APPEND_ONLY = ("audit_auditentry", "audit_checkpoint")
STATEMENTS = """\
GRANT USAGE ON SCHEMA public TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role};
REVOKE UPDATE, DELETE, TRUNCATE ON {tables} FROM {role};
"""


# Who owns a table may switch its guards off, whatever was granted; a superuser may all.
COULD_REWRITE = """
SELECT bool_or(pg_has_role(relowner, 'MEMBER') OR has_table_privilege(oid, 'UPDATE, DELETE, TRUNCATE'))
FROM pg_class WHERE oid = ANY(%s::regclass[])
"""


def for_role(role: str) -> str:
    """The statements to run as the owner, after each migration that makes tables."""
    tables = sql.SQL(", ").join(map(sql.Identifier, APPEND_ONLY))
    return sql.SQL(STATEMENTS).format(role=sql.Identifier(role), tables=tables).as_string(None)


def give_application(**_signal: object) -> None:
    """After the owner has migrated, give the account of the running portal its rights (settings)."""
    role = settings.APPLICATION_ROLE
    if not role or role == connection.settings_dict["USER"]:
        return
    if not set(APPEND_ONLY) <= set(connection.introspection.table_names()):
        return  # migrated backwards
    with connection.cursor() as cursor:
        cursor.execute(for_role(role))


def could_rewrite() -> bool:
    """Whether the account that asks could change or remove what is recorded."""
    with connection.cursor() as cursor:
        cursor.execute(COULD_REWRITE, [list(APPEND_ONLY)])
        return bool(cursor.fetchone()[0])
