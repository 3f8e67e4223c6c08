"""The beginning of the record goes after years: whole signed periods, and the rest still verifies."""

import subprocess
import sys
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import translation
from psycopg import sql

from portal import clock
from portal.audit import checkpoints, export, grants, keys, operations, queries, retention, verifier
from portal.audit.models import AuditEntry, Checkpoint
from portal.audit.record import record
from portal.errors import Conflict
from releases.models import Release
from tests.factories import make_release, make_shop, registry
from tests.people import BY_THE_PORTAL, person
from tests.portal.audit.signing import new_key, without_guards, write
from tests.portal.audit.test_grants import role
from tests.soak import long

__all__ = ["registry", "role"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def signed(settings: Any, transactional_db: None) -> None:
    """Entries 1 to 4 and 5 to 6 signed three years ago, 7 to 8 now by another key, 9 not at all."""
    settings.AUDIT_KEY = new_key()
    write(1, 2, 3)
    operations.sign_head()
    write(5, 6)
    operations.sign_head()
    grow_older(timedelta(days=3 * 366))
    settings.AUDIT_KEY = new_key()
    write(7)
    operations.sign_head()
    write(9)


def grow_older(by: timedelta) -> None:
    """Sign the checkpoints anew as of long ago."""
    signer = keys.signer()
    assert signer is not None
    with without_guards():
        for each in Checkpoint.objects.all():
            each.at, each.key = each.at - by, signer.key
            each.signature = signer.sign(verifier.statement(checkpoints.as_json(each)))
            each.save()


def retain(*options: str) -> str:
    said = StringIO()
    with translation.override("en"):
        call_command("audit", "retain", *options, stdout=said)
    return said.getvalue()


def fault() -> tuple[int, str] | None:
    found = operations.verify_chain().fault
    return (found.number, found.kind) if found else None


def test_a_dry_run_says_what_would_go_and_removes_nothing(settings: Any) -> None:
    assert "6 entries would go: 1 to 6" in retain("--years", "2")
    assert "nothing to remove" in retain("--years", "9")
    settings.AUDIT_KEEP_YEARS = 2
    assert "1 to 6" in retain()
    assert AuditEntry.objects.count() == 9
    with pytest.raises(CommandError):
        retain("--years", "0")


def test_whole_periods_go_the_checkpoints_stay_and_it_stands_in_the_record() -> None:
    assert "entries 1 to 6 removed" in retain("--years", "2", "--remove")
    assert list(AuditEntry.objects.order_by("number").values_list("number", flat=True)) == [7, 8, 9, 10]
    assert Checkpoint.objects.count() == 3
    entry = queries.head()
    assert entry is not None
    assert (entry.action, queries.body_of(entry)["after"]["last"]) == ("record.removed", 6)
    result = operations.verify_chain()
    assert (result.fault, result.removed, result.entries, result.checkpoints, result.last) == (
        None,
        6,
        4,
        3,
        10,
    )
    with pytest.raises(CommandError, match="nothing to remove"):
        retain("--years", "2", "--remove")
    operations.sign_head()
    assert operations.verify_chain().signed == 10
    with pytest.raises(Exception, match="append-only"):
        AuditEntry.objects.filter(number=7).delete()


@long
def test_a_shortened_record_verifies_offline_and_what_is_done_to_it_is_found(tmp_path: Path) -> None:
    retain("--years", "2", "--remove")
    operations.sign_head()
    file = tmp_path / "record.zip"
    file.write_bytes(b"".join(export.bundle()))
    said = subprocess.run(
        [sys.executable, verifier.__file__, file], capture_output=True, text=True, check=True
    ).stdout
    assert "verified from the checkpoint at entry 6" in said
    assert said.endswith("whole\n")
    with without_guards():
        Checkpoint.objects.filter(number=6).delete()
    assert fault() == (1, "removed")


def test_a_beginning_that_went_otherwise_is_missed() -> None:
    with without_guards():
        AuditEntry.objects.filter(number__lte=4).delete()
    assert fault() == (1, "removed")
    with transaction.atomic():
        after = {"last": 6, "public_keys": list(export.public_keys().values())}
        record("record.removed", actor=BY_THE_PORTAL, subject=("record", "6"), after=after)
    assert fault() == (1, "removed")


def test_a_changed_entry_after_the_removed_ones_is_named() -> None:
    retain("--years", "2", "--remove")
    with without_guards():
        AuditEntry.objects.filter(number=8).update(body="{}")
    assert fault() == (8, "changed")


def test_a_broken_record_is_kept_as_it_is() -> None:
    with without_guards():
        AuditEntry.objects.filter(number=2).update(body="{}")
    with pytest.raises(Conflict, match="2"):
        retention.remove(2, actor=BY_THE_PORTAL)
    assert AuditEntry.objects.count() == 9


@long
def test_what_an_open_or_recent_release_needs_stays(registry: object) -> None:
    shop = make_shop()
    with transaction.atomic():
        release = make_release(shop, at="approved")
    first = AuditEntry.objects.filter(release=release.number).earliest("number").number
    assert first is not None
    operations.sign_head()
    write(20)
    grow_older(timedelta(days=3 * 366))
    found = retention.plan(2)
    assert found.last is not None
    assert found.last < first
    assert found.held_by == release.number
    Release.objects.update(state="withdrawn", ended_at=clock.now())
    assert retention.plan(2).held_by == release.number
    Release.objects.update(ended_at=clock.now() - timedelta(days=3 * 366))
    found = retention.plan(2)
    assert found.held_by is None
    assert found.last is not None
    assert found.last > first
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop.cast.auditor)
    path = f"/releases/{release.number}/proof/"
    assert "cannot be proven any more" not in client.get(path).content.decode()
    retention.remove(2, actor=BY_THE_PORTAL)
    assert "cannot be proven any more" in client.get(path).content.decode()
    proof = client.get(f"{path}file/").json()
    assert proof["removed_up_to"] == found.last
    broken = verifier.check_proof(proof).fault
    assert broken is not None
    assert broken.code == "unbacked"


def test_the_newest_entry_stays_whatever_its_age() -> None:
    operations.sign_head()
    grow_older(timedelta(days=3 * 366))
    last = retention.plan(2).last
    head = queries.head()
    assert head is not None
    assert last is not None
    assert last < (head.number or 0)


def test_the_applications_own_role_removes_nothing(role: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(grants.for_role(role))
        cursor.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        with pytest.raises(CommandError):
            retain("--years", "2", "--remove")
        cursor.execute("RESET ROLE")
    assert AuditEntry.objects.filter(number__lte=6).count() == 6


@long
def test_the_page_says_for_how_long_and_what_went(settings: Any) -> None:
    client = Client(headers={"accept-language": "en"})
    client.force_login(person("gamsa", ("auditor", "*")))
    assert "Every entry is kept." in client.get("/audit/").content.decode()
    settings.AUDIT_KEEP_YEARS = 2
    assert "Entries 1 to 6 may be removed" in client.get("/audit/").content.decode()
    retain("--remove")
    client.post("/audit/verify/")
    operations.verify_chain()
    text = client.get("/audit/").content.decode()
    assert "Entries are kept for 2 years at least." in text
    assert "Entries up to 6 were removed" in text
    assert "from the checkpoint at entry 6" in text
