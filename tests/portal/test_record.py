"""The record is chained at commit and cannot be changed."""

import hashlib
import json

import pytest
import rfc8785
from django.db import InternalError, ProgrammingError, connection, transaction

from portal import clock
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
@pytest.mark.parametrize("column", ["number", "previous", "digest"])
def test_the_database_takes_no_entry_that_brings_its_own_link(column: str) -> None:
    write()
    with pytest.raises((InternalError, ProgrammingError), match="numbers the record"), transaction.atomic():
        AuditEntry.objects.create(at=clock.now(), body="{}", **{column: 2})
    assert AuditEntry.objects.get().number == 1


@pytest.mark.django_db
@pytest.mark.parametrize("change", ["number = 2", "previous = ''", "digest = ''", "body = '{}'"])
def test_not_even_the_transaction_that_wrote_an_entry_links_or_changes_it(change: str) -> None:
    write()
    with pytest.raises((InternalError, ProgrammingError), match="append-only"), connection.cursor() as cursor:
        cursor.execute(f"UPDATE audit_auditentry SET {change}")


@pytest.mark.django_db(transaction=True)
def test_a_session_s_own_tables_cannot_stand_in_for_the_record() -> None:
    write("first")
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE audit_auditentry (id bigint, number bigint, digest text)")
        cursor.execute("INSERT INTO audit_auditentry VALUES (0, 41, 'forged')")
        try:
            cursor.execute(
                "INSERT INTO public.audit_auditentry"
                " (at, actor, action, subject_kind, subject, service, body)"
                " VALUES (now(), '', '', '', '', '', '{}')"
            )
        finally:
            cursor.execute("DROP TABLE pg_temp.audit_auditentry")
    assert list(AuditEntry.objects.order_by("number").values_list("number", flat=True)) == [1, 2]


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
