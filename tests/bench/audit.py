"""How fast the record grows against plain inserts of the same rows, and how fast it is verified."""

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count as counting
from typing import Any

from tests.bench.database import with_database
from tests.bench.row import Row

# Short rounds that take turns: whatever else the machine does falls on all of them alike.
ROUNDS = 40
ENTRIES = 60
AT_ONCE = 20
WARM = 1_000
VERIFIED = 10_000
INSERT = """
INSERT INTO bench_plain
    (at, actor, action, subject_kind, subject, release, service, body, number, previous, digest)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
Write = Callable[[int], None]


def run() -> list[Row]:
    """Measure on a database of its own."""
    return with_database(_measure)


def _measure() -> list[Row]:
    from django.db import connection, transaction  # noqa: PLC0415  needs settings

    from portal.actors import Actor  # noqa: PLC0415
    from portal.audit.models import AuditEntry  # noqa: PLC0415
    from portal.audit.record import record  # noqa: PLC0415

    actor = Actor.portal("benchmark", door="cli")
    numbers = counting(1)

    def append(entries: int) -> None:
        with transaction.atomic():
            for number in range(entries):
                after = {"state": "approved", "n": number}
                record("token.created", actor=actor, subject=("token", "rp_1"), after=after)

    def plain(entries: int) -> None:
        with transaction.atomic():
            for _entry in range(entries):
                number = next(numbers)
                linked = [number, one.previous, hashlib.sha256(b"%d" % number).hexdigest()]
                with connection.cursor() as cursor:
                    cursor.execute(INSERT, [*values, *linked])

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_plain (LIKE audit_auditentry INCLUDING ALL)")
    append(WARM)
    one = AuditEntry.objects.get(number=WARM)
    values: list[Any] = [
        one.at,
        one.actor,
        one.action,
        one.subject_kind,
        one.subject,
        one.release,
        one.service,
        one.body,
    ]
    plain(WARM)
    rows = [row for size in (1, AT_ONCE) for row in _compared(append, plain, size)]
    append(VERIFIED)
    return [*rows, *_verified()]


def _compared(append: Write, plain: Write, size: int) -> list[Row]:
    """Rates of both, and one through the other: the plain insert is handed its row, the record makes it."""
    chained, bare = [], []
    for _round in range(ROUNDS):
        bare.append(_rate(plain, size))
        chained.append(_rate(append, size))
    entries = "1 entry" if size == 1 else f"{size} entries"
    share = [one / other for one, other in zip(chained, bare, strict=True)]
    better: dict[str, Any] = {"higher_is_better": True}
    return [
        Row.of(f"record, {entries} a transaction", chained, "entries/s", **better),
        Row.of(f"plain inserts, {entries} a transaction", bare, "rows/s", **better),
        Row.of(f"record / plain inserts, {entries} a transaction", share, "ratio", target=0.6, **better),
    ]


def _rate(write: Write, size: int) -> float:
    begun = time.perf_counter()
    for _transaction in range(ENTRIES // size):
        write(size)
    return ENTRIES / (time.perf_counter() - begun)


def _verified() -> list[Row]:
    from portal.audit.operations import verify_chain  # noqa: PLC0415  needs settings

    rates, alone = [], []
    for _round in range(3):
        begun = time.perf_counter()
        result = verify_chain()
        rates.append(result.entries / (time.perf_counter() - begun))
        assert result.fault is None
        assert result.entries >= VERIFIED
        alone.append(_verified_alone(result.entries))
    # 200,000 entries in less than 10 s (attacks.md, section 2).
    name = "verifying an export, without the portal"
    return [
        Row.of("verifying the chain", rates, "entries/s", target=20_000, higher_is_better=True),
        Row.of(name, alone, "entries/s", target=20_000, higher_is_better=True),
    ]


def _verified_alone(entries: int) -> float:
    """Export the record, and let the verifier check it in a process of its own."""
    from portal.audit import export, verifier  # noqa: PLC0415  needs settings

    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        file.writelines(export.bundle())
        file.flush()
        begun = time.perf_counter()
        subprocess.run([sys.executable, verifier.__file__, file.name], check=True, capture_output=True)
        return entries / (time.perf_counter() - begun)
