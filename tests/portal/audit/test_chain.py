"""Verification names the first bad entry and what is wrong with it."""

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.test import Client

from portal.audit import jobs, operations, queries
from portal.audit.models import AuditEntry, ChainCheck
from portal.audit.queries import sealed
from portal.audit.record import record
from tests.people import BY_THE_PORTAL, person
from tests.portal.audit.signing import let_workers_verify, without_guards, write
from tests.soak import long

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def ten_entries(transactional_db: None) -> None:
    write(*range(1, 11))


def found() -> tuple[int, str] | None:
    fault = operations.verify_chain().fault
    return (fault.number, fault.kind) if fault else None


def seal(entry: AuditEntry) -> None:
    """Make the entry agree with itself again."""
    entry.digest = sealed(entry)
    AuditEntry.objects.filter(pk=entry.pk).update(
        body=entry.body, previous=entry.previous, digest=entry.digest
    )


def test_a_whole_chain_is_whole() -> None:
    result = operations.verify_chain()
    assert (result.entries, result.fault) == (10, None)
    head = queries.head()
    assert head is not None
    assert result.head == head.digest


def test_a_changed_text_is_found() -> None:
    with without_guards():
        entry = AuditEntry.objects.get(number=4)
        AuditEntry.objects.filter(number=4).update(body=entry.body.replace("p4", "p9"))
    assert found() == (4, "changed")


def test_a_change_that_was_sealed_again_is_found_by_the_entry_after_it() -> None:
    with without_guards():
        entry = AuditEntry.objects.get(number=4)
        entry.body = entry.body.replace('"key":"p4"', '"key":"p9"')
        seal(entry)
        AuditEntry.objects.filter(number=4).update(subject="p9")
    assert found() == (4, "changed")


@pytest.mark.parametrize("column", ["actor", "subject", "action", "service"])
def test_a_changed_column_is_found_though_the_text_is_whole(column: str) -> None:
    with without_guards():
        AuditEntry.objects.filter(number=4).update(**{column: "someone"})
    assert found() == (4, "changed")


def test_a_removed_entry_is_found() -> None:
    with without_guards():
        AuditEntry.objects.filter(number__in=[4, 5]).delete()
    fault = operations.verify_chain().fault
    assert fault is not None
    assert (fault.number, fault.kind) == (4, "removed")
    assert "4" in fault.sentence()
    assert "5" in fault.sentence()


def test_the_first_entry_removed_is_found() -> None:
    with without_guards():
        AuditEntry.objects.filter(number=1).delete()
    assert found() == (1, "removed")


def test_two_entries_that_changed_places_are_found() -> None:
    with without_guards():
        one, two = AuditEntry.objects.get(number=4), AuditEntry.objects.get(number=5)
        AuditEntry.objects.filter(pk=one.pk).update(number=99)
        AuditEntry.objects.filter(pk=two.pk).update(number=4)
        AuditEntry.objects.filter(pk=one.pk).update(number=5)
    assert found() == (4, "reordered")


def test_an_entry_put_in_between_is_found() -> None:
    with without_guards():
        for number in range(10, 4, -1):
            AuditEntry.objects.filter(number=number).update(number=number + 1)
        four = AuditEntry.objects.get(number=4)
        forged = AuditEntry(
            number=5,
            at=four.at,
            actor=four.actor,
            action=four.action,
            subject_kind="person",
            subject="p4",
            body=four.body,
            previous=four.digest,
        )
        forged.digest = sealed(forged)
        forged.save()
    assert found() == (5, "inserted")


def test_a_removed_entry_is_found_though_the_others_moved_up() -> None:
    with without_guards():
        AuditEntry.objects.filter(number=4).delete()
        for number in range(5, 11):
            AuditEntry.objects.filter(number=number).update(number=number - 1)
    assert found() == (4, "removed")


def test_two_entries_after_the_same_one_are_a_fork() -> None:
    with without_guards():
        entry = AuditEntry.objects.get(number=7)
        entry.previous = AuditEntry.objects.get(number=4).digest
        seal(entry)
    assert found() == (7, "forked")


def test_an_entry_outside_the_chain_is_found() -> None:
    with without_guards():
        entry = AuditEntry.objects.get(number=3)
        entry.pk, entry.number, entry.digest, entry.previous = None, None, None, None
        entry.save()
    assert found() == (11, "inserted")


@long
@pytest.mark.parametrize(
    "text", ["{}", "[]", "no json", '{"actor":1,"after":{"public_key":1},"record.key":2}']
)
def test_an_entry_that_somebody_wrote_past_the_portal_is_found_and_shown(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_auditentry (at, actor, action, subject_kind, subject, service, body)"
            " VALUES (now(), 'x', 'person.created', 'person', 'p', '', %s)",
            [text],
        )
    assert found() == (11, "changed")
    client = Client()
    client.force_login(person("gamsa", ("auditor", "*")))
    for path in ("/audit/", "/audit/11/"):
        assert client.get(path).status_code == 200
    assert client.get("/api/v1/audit").status_code == 200
    answer: Any = client.get("/audit/export/?format=csv")
    exported = b"".join(answer.streaming_content)
    assert exported.count(b"person.created") >= 11


def test_the_command_says_whole_or_fails_with_the_entry() -> None:
    said = StringIO()
    call_command("audit", "verify", stdout=said)
    assert said.getvalue().startswith("10 entries, whole")
    with without_guards():
        AuditEntry.objects.filter(number=7).update(body="{}")
    with pytest.raises(CommandError, match="entry 7 changed"):
        call_command("audit", "verify")


def test_the_export_holds_what_was_hashed() -> None:
    said = StringIO()
    call_command("audit", "export", stdout=said)
    previous = "0" * 64
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    for number, line in enumerate(lines, 1):
        assert (line["number"], line["previous"]) == (number, previous)
        previous = line["digest"]
    assert len(lines) == 10
    assert lines[0]["entry"]["reason"] == "이유"


def test_the_chain_is_verified_once_a_day_and_the_result_is_kept() -> None:
    for _time in range(2):
        jobs.verify_daily()
        let_workers_verify()
    check = ChainCheck.objects.get()
    assert (check.entries, check.fault) == (10, "")


@long
def test_fifty_writers_and_deaths_among_them_leave_neither_fork_nor_gap() -> None:
    def work(writer: int) -> None:
        try:
            for number in range(4):
                with contextlib.suppress(DatabaseError), transaction.atomic():
                    record("person.created", actor=BY_THE_PORTAL, subject=("person", f"w{writer}.{number}"))
                    if number == 1:
                        transaction.set_rollback(True)
                    if number == 2 and writer % 5 == 0:
                        connection.cursor().execute("SELECT pg_terminate_backend(pg_backend_pid())")
                close_old_connections()
        finally:
            connection.close()

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(work, range(50)))
    result = operations.verify_chain()
    assert (result.entries, result.fault) == (10 + 50 * 3 - 10, None)


def test_a_hundred_thousand_years_of_numbers_are_no_entry() -> None:
    assert not queries.entries(queries.Search(release=2**62)).exists()
