"""The head of the record is signed and sent out; what is done to the tables afterwards is found by that."""

import json
import resource
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import InternalError, ProgrammingError, connection

from portal import clock
from portal.audit import checkpoints, jobs, operations
from portal.audit.models import AuditEntry, Checkpoint
from portal.audit.verifier import BEGINNING, digest_of
from portal.errors import Conflict
from portal.outbox.models import Message
from portal.people.models import Role
from tests.people import person
from tests.portal.audit.signing import new_key, without_guards, write

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def key(settings: Any, transactional_db: None) -> str:
    settings.AUDIT_KEY = new_key()
    return str(settings.AUDIT_KEY)


@pytest.fixture
def log(settings: Any, tmp_path: Path) -> Path:
    settings.AUDIT_CHECKPOINT_LOG = str(tmp_path / "checkpoints.jsonl")
    return tmp_path / "checkpoints.jsonl"


def found() -> tuple[int, str] | None:
    fault = operations.verify_chain().fault
    return (fault.number, fault.kind) if fault else None


def grow_older(by: timedelta) -> None:
    with without_guards():
        for checkpoint in Checkpoint.objects.all():
            Checkpoint.objects.filter(pk=checkpoint.pk).update(at=checkpoint.at - by)


def cut_off(after: int) -> None:
    with without_guards():
        AuditEntry.objects.filter(number__gt=after).delete()


def rewrite(first: int) -> None:
    """Write other entries in the place of those from here on, so that the chain is whole again."""
    with without_guards():
        head = (
            AuditEntry.objects.filter(number=first - 1).values_list("digest", flat=True).first() or BEGINNING
        )
        for entry in AuditEntry.objects.filter(number__gte=first).order_by("number"):
            body = entry.body.replace("이유", "another")
            digest = digest_of(body, number=entry.number or 0, previous=head)
            AuditEntry.objects.filter(pk=entry.pk).update(body=body, previous=head, digest=digest)
            head = digest


def test_a_checkpoint_signs_the_newest_entry_after_introducing_its_key() -> None:
    write(1, 2, 3)
    checkpoint = operations.sign_head()
    assert checkpoint is not None
    introduced = AuditEntry.objects.get(number=4)
    assert (introduced.action, introduced.subject) == ("record.key", checkpoint.key)
    assert (checkpoint.first, checkpoint.number, checkpoint.head) == (1, 4, introduced.digest)
    result = operations.verify_chain()
    assert (result.fault, result.checkpoints, result.signed) == (None, 1, 4)
    assert operations.sign_head() is None


def test_the_head_is_signed_hourly_and_every_thousand_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.sign()
    assert not Checkpoint.objects.exists()
    write(1)
    jobs.sign()
    write(2)
    jobs.sign()
    assert Checkpoint.objects.count() == 1
    grow_older(timedelta(hours=1))
    jobs.sign()
    assert Checkpoint.objects.count() == 2
    write(3, 4, 5)
    jobs.sign()
    assert Checkpoint.objects.count() == 2
    monkeypatch.setattr(operations, "MOST_UNSIGNED", 3)
    jobs.sign()
    assert Checkpoint.objects.count() == 3


def test_the_sweep_asks_for_a_checkpoint_only_when_one_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("portal.jobs._send", lambda name, _args: asked.append(name))
    jobs.sign_hourly()
    write(1)
    jobs.sign_hourly()
    operations.sign_head()
    jobs.sign_hourly()
    assert asked == ["portal.audit.jobs.sign"]


def test_a_long_backlog_is_signed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MOST_AT_ONCE", 2)
    write(1, 2, 3, 4)
    operations.sign_head()
    parts = Checkpoint.objects.order_by("number").values_list("first", "number")
    assert list(parts) == [(1, 2), (3, 4), (5, 5)]
    assert found() is None


def test_without_a_key_nothing_is_signed_and_the_command_says_what_to_set(settings: Any) -> None:
    settings.AUDIT_KEY = ""
    write(1)
    jobs.sign()
    with pytest.raises(Conflict):
        operations.sign_head()
    with pytest.raises(CommandError, match="AUDIT_KEY_FILE"):
        call_command("audit", "checkpoint")


def test_auditors_get_each_checkpoint_by_mail_and_it_verifies_later(tmp_path: Path) -> None:
    person("gamsa", (Role.AUDITOR, "*"))
    person("minji")
    operations.sign_head()
    (message,) = Message.objects.filter(key__startswith="record.checkpoint.")
    assert message.recipient == "gamsa"
    mail = tmp_path / "mail.txt"
    mail.write_text(f"Hello\n\n{message.body}\n")
    call_command("audit", "verify", checkpoints=mail, stdout=StringIO())
    number = Checkpoint.objects.get().number
    with without_guards():
        Checkpoint.objects.all().delete()
    cut_off(number - 1)
    assert found() is None  # an older copy of the whole database proves itself
    with pytest.raises(CommandError, match=f"entry {number} cut off"):
        call_command("audit", "verify", checkpoints=mail)


def test_the_command_makes_a_checkpoint_and_prints_it() -> None:
    write(1)
    said = StringIO()
    call_command("audit", "checkpoint", stdout=said)
    assert json.loads(said.getvalue()) == checkpoints.as_json(Checkpoint.objects.get())


def test_a_cut_off_end_is_named_by_the_checkpoint_that_signed_it() -> None:
    write(1, 2, 3)
    operations.sign_head()
    cut_off(2)
    assert found() == (3, "cut off")


def test_a_rewritten_record_is_named_from_the_last_checkpoint_that_agrees() -> None:
    write(1, 2)
    operations.sign_head()
    write(3, 4)
    operations.sign_head()
    rewrite(5)
    assert found() == (4, "forked")


def test_a_restored_older_database_that_went_on_is_found_by_the_log(log: Path) -> None:
    write(1, 2)
    operations.sign_head()
    write(3, 4)
    operations.sign_head()
    with without_guards():
        Checkpoint.objects.filter(number=5).delete()
    cut_off(3)
    assert found() == (4, "cut off")
    write(5, 6, 7)
    operations.sign_head()
    assert found() == (4, "forked")
    assert len(log.read_text().splitlines()) == 3


def test_a_log_without_room_for_a_checkpoint_gets_no_half_of_it(log: Path) -> None:
    write(1)
    operations.sign_head()
    before = log.read_bytes()
    write(2)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        operations.sign_head()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert log.read_bytes() == before
    write(3)
    operations.sign_head()
    assert [each["number"] for each in checkpoints.logged()] == [2, 4]


def test_a_changed_checkpoint_has_a_bad_signature() -> None:
    write(1, 2, 3)
    operations.sign_head()
    with without_guards():
        Checkpoint.objects.update(at=clock.now())
    assert found() == (4, "bad signature")


def test_a_checkpoint_by_a_key_that_the_chain_never_introduced_is_a_bad_signature(settings: Any) -> None:
    write(1)
    operations.sign_head()
    settings.AUDIT_KEY = new_key()
    operations.sign_head()
    settings.AUDIT_KEY = ""
    assert found() is None
    with without_guards():
        Checkpoint.objects.filter(number=3).update(key="0" * 16)
    assert found() == (3, "bad signature")


def test_a_new_key_is_recorded_and_the_old_checkpoints_stay_good(settings: Any) -> None:
    write(1)
    operations.sign_head()
    settings.AUDIT_KEY = new_key()
    write(2)
    operations.sign_head()
    assert AuditEntry.objects.filter(action="record.key").count() == 2
    assert Checkpoint.objects.values("key").distinct().count() == 2
    result = operations.verify_chain()
    assert (result.fault, result.checkpoints) == (None, 2)


@pytest.mark.parametrize("act", ["UPDATE audit_checkpoint SET number = 99", "DELETE FROM audit_checkpoint"])
def test_the_database_refuses_to_change_a_checkpoint(act: str) -> None:
    write(1)
    operations.sign_head()
    with pytest.raises((InternalError, ProgrammingError), match="append-only"), connection.cursor() as cursor:
        cursor.execute(act)
