"""A million entries: how long and in how much memory they are verified and exported, beside ten thousand."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from portal.embedded.accounts import kept_key
from tests.bench.database import with_database
from tests.bench.row import Row

FEW, MANY = 10_000, 1_000_000
MANAGE = Path(__file__).resolve().parents[2] / "manage.py"
# As the trigger links them, but without a transaction for each.
WRITE = """
DO $$
DECLARE
    previous text;
    body text;
    sum text;
    first bigint;
BEGIN
    SELECT number + 1, digest INTO first, previous FROM audit_auditentry ORDER BY number DESC LIMIT 1;
    FOR n IN first..{last} LOOP
        body := '{{"action":"token.created","actor":{{"address":"","cause":"benchmark","door":"cli",'
            || '"name":"portal","on_behalf_of":"","token":""}},"after":{{"n":' || n || '}},'
            || '"at":"2026-11-21T09:00:00.000000+00:00","before":{{}},"content_digest":"","reason":"",'
            || '"release":null,"service":"","subject":{{"key":"rp_1","kind":"token"}}}}';
        sum := encode(sha256(convert_to(
            '{{"entry":' || body || ',"number":' || n || ',"previous":"' || previous || '"}}', 'UTF8')),
            'hex');
        INSERT INTO audit_auditentry
            (number, at, actor, action, subject_kind, subject, service, body, previous, digest)
        VALUES (n, '2026-11-21T09:00:00+00:00', 'portal', 'token.created', 'token', 'rp_1', '',
                body, previous, sum);
        previous := sum;
    END LOOP;
END $$
"""
# In a small process of its own: a program that is started counts the memory of who started it as its own.
MEASURE = """
import resource, subprocess, sys, time
begun = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def run() -> list[Row]:
    """Measure on a database of its own, whose head is signed."""
    return with_database(_measure)


def _measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "record.zip"
        os.environ["AUDIT_KEY_FILE"] = str(kept_key(Path(folder) / "key"))
        _manage("audit", "checkpoint")  # the entry that names the key
        return [row for entries in (FEW, MANY) for row in _of(entries, bundle)]


def _of(entries: int, bundle: Path) -> list[Row]:
    from portal.audit import verifier  # noqa: PLC0415  needs settings

    _fill(entries)
    _manage("audit", "checkpoint")
    rows = []
    for what, command in (
        ("verifying in the database", [str(MANAGE), "audit", "verify"]),
        ("exporting", [str(MANAGE), "audit", "export", "--format", "bundle", "--output", str(bundle)]),
        ("verifying the export", [verifier.__file__, str(bundle)]),
    ):
        seconds, megabytes = _cost(command)
        name = f"{what}, {entries:,} entries"
        rows.append(Row.of(name, [entries / seconds], "entries/s", higher_is_better=True))
        rows.append(Row.of(f"{name}, memory", [megabytes], "MB"))
    return rows


def _fill(last: int) -> None:
    from django.db import connection  # noqa: PLC0415  needs settings

    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditentry DISABLE TRIGGER USER")
        cursor.execute(WRITE.format(last=last))
        cursor.execute("ALTER TABLE audit_auditentry ENABLE TRIGGER USER")
        cursor.execute("VACUUM ANALYZE audit_auditentry")


def _manage(*words: str) -> None:
    subprocess.run([sys.executable, str(MANAGE), *words], check=True, capture_output=True)


def _cost(command: list[str]) -> tuple[float, float]:
    """Seconds and megabytes that a process takes from its start to its end."""
    told = subprocess.run(
        [sys.executable, "-c", MEASURE, sys.executable, *command],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    seconds, kilobytes = told.stdout.split()
    return float(seconds), float(kilobytes) / 1024
