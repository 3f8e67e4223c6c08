"""Verification by the workers: in pieces that may die or come twice, one at a time, seen on the page."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from portal import clock
from portal.audit import jobs, operations
from portal.audit.chain import Walk
from portal.audit.models import AuditEntry, ChainCheck, Checkpoint, Verification
from portal.live.topics import streams_of
from tests.people import person
from tests.portal.audit.signing import let_workers_verify, new_key, without_guards, write
from tests.soak import long

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def signed(settings: Any, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve entries, signed up to the eighth, in pieces of three."""
    settings.AUDIT_KEY = new_key()
    monkeypatch.setattr(operations, "PIECE", 3)
    write(1, 2, 3)
    operations.sign_head()
    write(*range(4, 8))
    operations.sign_head()
    write(*range(8, 12))


def found() -> tuple[int | None, str, int]:
    operations.start_verification("")
    let_workers_verify()
    check = ChainCheck.objects.latest("at")
    return check.broken_at, check.fault, check.entries


def change(number: int) -> None:
    AuditEntry.objects.filter(number=number).update(body="{}")


TAMPERINGS: dict[str, tuple[Callable[[], object], tuple[int | None, str, int]]] = {
    "nothing": (lambda: None, (None, "", 12)),
    "the first changed": (lambda: change(1), (1, "changed", 0)),
    "at the end of a piece": (lambda: change(6), (6, "changed", 5)),
    "at the beginning of a piece": (lambda: change(7), (7, "changed", 6)),
    "removed": (lambda: AuditEntry.objects.filter(number__in=[6, 7]).delete(), (6, "removed", 5)),
    "cut off": (lambda: AuditEntry.objects.filter(number__gt=6).delete(), (7, "cut off", 6)),
    "another signature": (
        lambda: Checkpoint.objects.filter(number=8).update(root="0" * 64),
        (8, "bad signature", 8),
    ),
    "an entry before the first": (
        lambda: AuditEntry.objects.filter(number=12).update(number=-1),
        (-1, "inserted", 0),
    ),
}


@pytest.mark.parametrize(("tamper", "expected"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_pieces_find_what_one_walk_finds(
    tamper: Callable[[], object], expected: tuple[int | None, str, int]
) -> None:
    with without_guards():
        tamper()
    assert found() == expected
    result = operations.verify_chain()
    fault = result.fault
    assert (fault.number if fault else None, fault.kind if fault else "", result.entries) == expected


def test_a_walk_knows_as_much_after_many_entries_as_after_few() -> None:
    write(*range(100))
    walk = Walk()
    walk.go(1000)
    assert walk.result.last == 112
    assert len(json.dumps(walk.as_json())) < 1500


def test_what_is_signed_while_it_walks_is_checked_too() -> None:
    row = operations.start_verification("gamsa")
    operations.verify_piece(row.pk)
    operations.sign_head()
    write(20)
    operations.sign_head()
    let_workers_verify()
    check = ChainCheck.objects.get()
    assert (check.entries, check.checkpoints, check.signed, check.fault) == (13, 4, 13, "")


def test_a_second_press_joins_and_a_piece_that_comes_late_does_nothing() -> None:
    row = operations.start_verification("gamsa")
    assert operations.start_verification("minji").pk == row.pk
    operations.verify_piece(row.pk)
    assert Verification.objects.get().entries == 3
    let_workers_verify()
    after = Verification.objects.get()
    assert (after.asked_by, after.entries, after.running, after.pieces) == ("gamsa", 12, False, 5)
    operations.verify_piece(row.pk)
    assert ChainCheck.objects.count() == 1
    assert operations.start_verification("minji").pk != row.pk


def test_two_workers_with_the_same_piece_write_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    row = operations.start_verification("")
    walk = Walk.go

    def overtaken(self: Walk, most: int) -> bool:
        monkeypatch.setattr(Walk, "go", walk)
        operations.verify_piece(row.pk)
        return self.go(most)

    monkeypatch.setattr(Walk, "go", overtaken)
    operations.verify_piece(row.pk)
    after = Verification.objects.get()
    assert (after.entries, after.pieces) == (3, 1)
    let_workers_verify()
    assert ChainCheck.objects.get().fault == ""


def test_a_piece_that_got_lost_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr("portal.jobs._send", lambda name, args: asked.append((name, *args)))
    row = operations.start_verification("")
    jobs.go_on_verifying()
    assert asked == [("portal.audit.jobs.verify_piece", row.pk)]
    Verification.objects.update(seen_at=clock.now() - timedelta(minutes=1))
    jobs.go_on_verifying()
    assert len(asked) == 2
    let_workers_verify()
    jobs.go_on_verifying()
    assert len(asked) == 2 + 4  # each piece but the last asks for the next


@long
def test_an_auditor_sees_how_far_it_is_and_what_was_found() -> None:
    gamsa, minji = person("gamsa", ("auditor", "*")), person("minji")
    with without_guards():
        change(9)
    client = Client(headers={"accept-language": "en"})
    client.force_login(gamsa)
    assert client.post("/audit/verify/").status_code == 302
    text = client.get("/audit/").content.decode()
    assert 'http-equiv="refresh"' in text
    assert "waits for a worker" in text
    row = Verification.objects.get()
    assert row.asked_by == "gamsa"
    operations.verify_piece(row.pk)
    text = client.get("/audit/chain/").content.decode()
    total = Verification.objects.get().total
    assert f'max="{total}" value="3"' in text
    assert f"entries a second, {total - 3} left" in text
    assert f'data-live-after="{Verification.objects.get().told}"' in text
    let_workers_verify()
    text = client.get("/audit/").content.decode()
    assert "Entry 9 was changed." in text
    assert 'href="/audit/9/"' in text
    assert "http-equiv" not in text
    korean = client.get("/audit/", headers={"accept-language": "ko"}).content.decode()
    assert "Entry 9 was changed." not in korean
    client.force_login(minji)
    assert client.get("/audit/chain/").status_code == 403
    assert client.post("/audit/verify/").status_code == 403
    assert set(streams_of("record", [gamsa, minji])) == {gamsa.pk}
    assert streams_of("record.1", [gamsa]) == {}


def test_the_command_says_on_a_terminal_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "AT_ONCE", 6)
    terminal, file = StringIO(), StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    call_command("audit", "verify", stdout=StringIO(), stderr=terminal)
    assert "50 %" in terminal.getvalue()
    assert "6 left" in terminal.getvalue()
    call_command("audit", "verify", stdout=StringIO(), stderr=file)
    assert file.getvalue() == ""
