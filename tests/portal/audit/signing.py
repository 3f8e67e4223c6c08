"""A key for tests of checkpoints, and what somebody with the database's owner could do."""

from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.db import connection, transaction

from portal.audit import operations, queries
from portal.audit.record import record
from tests.people import BY_THE_PORTAL

GUARDED = {
    "audit_auditentry": "audit_no_truncate",
    "audit_checkpoint": "audit_checkpoint_no_truncate",
}


def new_key() -> str:
    """A private key as a file holds it."""
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Ed25519PrivateKey.generate().private_bytes(*form).decode()


def write(*numbers: int) -> None:
    """One entry in a transaction of its own for each number."""
    for number in numbers:
        with transaction.atomic():
            record("person.created", actor=BY_THE_PORTAL, subject=("person", f"p{number}"), reason="이유")


@contextmanager
def without_guards() -> Iterator[None]:
    """Let the owner do what the triggers forbid."""
    with connection.cursor() as cursor:
        for table in GUARDED:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        try:
            yield
        finally:
            for table, truncating in GUARDED.items():
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {truncating}")


def let_workers_verify() -> None:
    """Take the pieces of the verification under way, as the workers do."""
    while (row := queries.running()) is not None:
        operations.verify_piece(row.pk)
