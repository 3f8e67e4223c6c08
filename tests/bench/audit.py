"""How fast the record grows against plain inserts of the same rows, and how fast it is verified."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from tests.bench.database import with_database
from tests.bench.row import Row

ROUNDS = 5
ENTRIES = 300
AT_ONCE = 20
VERIFIED = 10_000


def run() -> list[Row]:
    """Measure on a database of its own."""
    return with_database(_measure)


def _measure() -> list[Row]:
    from django.db import connection, transaction  # noqa: PLC0415  needs settings

    from portal.actors import Actor  # noqa: PLC0415
    from portal.audit.chain import check_chain  # noqa: PLC0415
    from portal.audit.record import record  # noqa: PLC0415

    actor = Actor.portal("benchmark", door="cli")
    columns = "at, actor, action, subject_kind, subject, release, service, body"
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_plain (LIKE audit_auditentry INCLUDING ALL)")

    def append(count: int) -> None:
        with transaction.atomic():
            for number in range(count):
                after = {"state": "approved", "n": number}
                record("token.created", actor=actor, subject=("token", "rp_1"), after=after)

    def plain(count: int) -> None:
        copy = f"INSERT INTO bench_plain ({columns}) SELECT {columns} FROM audit_auditentry WHERE number = %s"
        with transaction.atomic(), connection.cursor() as cursor:
            for number in range(count):
                cursor.execute(copy, [number + 1])

    append(AT_ONCE)
    rows = []
    for size in (1, AT_ONCE):
        chained, bare = [], []
        for _round in range(ROUNDS):
            bare.append(_rate(plain, size))
            chained.append(_rate(append, size))
        entries = "1 entry" if size == 1 else f"{size} entries"
        share = [one / other for one, other in zip(chained, bare, strict=True)]
        rows += [
            Row.of(f"record, {entries} a transaction", chained, "entries/s", higher_is_better=True),
            Row.of(f"plain inserts, {entries} a transaction", bare, "rows/s", higher_is_better=True),
            Row.of(f"record / plain inserts, {entries} a transaction", share, "ratio", higher_is_better=True),
        ]
    append(VERIFIED)
    rates = []
    for _round in range(3):
        begun = time.perf_counter()
        result = check_chain()
        rates.append(result.entries / (time.perf_counter() - begun))
        assert result.fault is None
        assert result.entries >= VERIFIED
    rows.append(Row.of("verifying the chain", rates, "entries/s", higher_is_better=True))
    # 200,000 entries in less than 10 s (attacks.md, section 2).
    alone = [_verified_alone(result.entries) for _round in range(3)]
    name = "verifying an export, without the portal"
    return [*rows, Row.of(name, alone, "entries/s", target=20_000, higher_is_better=True)]


def _verified_alone(entries: int) -> float:
    """Export the record, and let the verifier check it in a process of its own."""
    from portal.audit import export, verifier  # noqa: PLC0415  needs settings

    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        file.writelines(export.bundle())
        file.flush()
        begun = time.perf_counter()
        subprocess.run([sys.executable, verifier.__file__, file.name], check=True, capture_output=True)
        return entries / (time.perf_counter() - begun)


def _rate(write: Callable[[int], None], size: int) -> float:
    begun = time.perf_counter()
    for _transaction in range(ENTRIES // size):
        write(size)
    return ENTRIES / (time.perf_counter() - begun)
