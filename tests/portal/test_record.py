"""The record is chained at commit and cannot be changed."""

import hashlib
import json

import pytest
import rfc8785
from django.db import InternalError, ProgrammingError, connection, transaction

from portal.actors import Actor
from portal.audit.models import AuditEntry
from portal.audit.record import NoTransaction, UnknownAction, record

PORTAL = Actor.portal("a test")


def write(reason: str = "") -> None:
    with transaction.atomic():
        record("person.created", actor=PORTAL, subject=("person", "minji"), reason=reason)


@pytest.mark.django_db(transaction=True)
def test_entries_are_numbered_and_chained_at_commit() -> None:
    for reason in ("one", "둘", "three"):
        write(reason)
    previous = "0" * 64
    for number, entry in enumerate(AuditEntry.objects.order_by("number"), 1):
        form = {"entry": json.loads(entry.body), "number": entry.number, "previous": entry.previous}
        assert entry.number == number
        assert entry.previous == previous
        assert entry.digest == hashlib.sha256(rfc8785.dumps(form)).hexdigest()
        previous = entry.digest


@pytest.mark.django_db(transaction=True)
def test_an_act_that_rolls_back_leaves_no_gap() -> None:
    write("first")
    with transaction.atomic():
        record("person.created", actor=PORTAL, subject=("person", "gone"))
        transaction.set_rollback(True)
    write("second")
    assert list(AuditEntry.objects.order_by("number").values_list("number", flat=True)) == [1, 2]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditentry SET actor = 'someone else'",
        "UPDATE audit_auditentry SET number = 7",
        "DELETE FROM audit_auditentry",
    ],
)
def test_the_database_refuses_to_change_an_entry(statement: str) -> None:
    write()
    with pytest.raises((InternalError, ProgrammingError), match="append-only"), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db(transaction=True)
def test_the_database_refuses_to_empty_the_record() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditentry ENABLE TRIGGER audit_no_truncate")
        try:
            with pytest.raises((InternalError, ProgrammingError), match="append-only"):
                cursor.execute("TRUNCATE audit_auditentry")
        finally:
            cursor.execute("ALTER TABLE audit_auditentry DISABLE TRIGGER audit_no_truncate")


@pytest.mark.django_db
def test_an_unknown_act_is_not_recorded() -> None:
    with pytest.raises(UnknownAction):
        record("person.invented", actor=PORTAL, subject=("person", "minji"))


@pytest.mark.django_db(transaction=True)
def test_an_entry_needs_the_transaction_of_its_act() -> None:
    with pytest.raises(NoTransaction):
        record("person.created", actor=PORTAL, subject=("person", "minji"))
