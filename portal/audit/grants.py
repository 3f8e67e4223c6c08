"""SQL for a database whose application role does not own the tables (attacks.md, section 2).

The owner migrates; the application reads and writes everything else, and can only add to the record. The
trigger that numbers entries runs with its owner's rights, so that this is enough.
"""

from psycopg import sql

APPEND_ONLY = ("audit_auditentry", "audit_checkpoint")
STATEMENTS = """\
GRANT USAGE ON SCHEMA public TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role};
REVOKE UPDATE, DELETE, TRUNCATE ON {tables} FROM {role};
"""


def for_role(role: str) -> str:
    """The statements to run as the owner, after each migration that makes tables."""
    tables = sql.SQL(", ").join(map(sql.Identifier, APPEND_ONLY))
    return sql.SQL(STATEMENTS).format(role=sql.Identifier(role), tables=tables).as_string(None)
