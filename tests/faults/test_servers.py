"""PostgreSQL dies in the middle, and comes back or hands over to its standby: nothing it said is lost."""

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from portal import clock
from portal.embedded import accounts, child
from portal.embedded.child import is_alive
from portal.embedded.ports import HOST, free_port
from portal.embedded.postgres import SUPERUSER, Postgres
from releases.rollouts.models import Rollout, Step, WatchLead
from tests.embedded.processes import wait_for
from tests.faults.line import Line
from tests.rollouts.conftest import notices
from tests.rollouts.nursery import Nursery, nursery
from tests.soak import SOAKING, long, soak

__all__ = ["notices"]

AWAY_SECONDS = 30.0 if SOAKING else 0.5
GO_ON_SECONDS = 60.0
CONNECTED = """
SELECT 1 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
LATER = timedelta(days=1)
FAILURES = (psycopg.OperationalError, psycopg.InterfaceError)


class Copy:
    """A durable copy of the run's own server, with all that the test has committed so far."""

    def __init__(self, folder: Path, source: Postgres, *options: str) -> None:
        self.postgres = Postgres(folder, free_port())
        accounts.make_folder(folder)
        for secret in source.folder.glob("*.password"):
            shutil.copy2(secret, folder)
        data = folder / "data"
        accounts.make_reachable(data)
        data.mkdir(mode=0o700)
        accounts.hand_over(data)
        _copy(source, data, *options)
        self.start()

    def start(self) -> None:
        """Start it, after whatever happened to it."""
        self.postgres.prepare()
        self.process = child.start(self.postgres.command(), output=subprocess.DEVNULL)
        child.wait_until_ready(
            self.process, name="PostgreSQL", is_ready=self.postgres.is_ready, timeout_seconds=60
        )

    def kill(self) -> None:
        """`kill -9` of the server; its backends notice and go."""
        child.kill_group(self.process.pid)
        self.process.wait()

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        """Ask it as its administrator, in the test's database."""
        with psycopg.connect(
            host=HOST,
            port=self.postgres.port,
            user=SUPERUSER,
            password=secret_of(self.postgres),
            dbname=connection.settings_dict["NAME"],
            autocommit=True,
        ) as line:
            cursor = line.execute(statement)
            return cursor.fetchall() if cursor.description else []


def secret_of(server: Postgres) -> str:
    return (server.folder / f"{SUPERUSER}.password").read_text()


def _copy(source: Postgres, data: Path, *options: str) -> None:
    program = Path(source.command().argv[0]).with_name("pg_basebackup")
    place = ["-h", HOST, "-p", str(source.port), "-U", SUPERUSER, "-D", str(data.resolve())]
    subprocess.run(
        [str(program), *place, "-X", "stream", "-c", "fast", *options],
        env={**os.environ, "PGPASSWORD": secret_of(source)},
        user=accounts.server_account(),
        group=accounts.server_group(),
        extra_groups=None if accounts.server_account() is None else [],
        cwd="/",
        check=True,
    )


class Writer:
    """Somebody who writes number after number, and remembers which of them the server said it has."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.acknowledged: list[int] = []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.write, daemon=True)
        self.thread.start()

    def write(self) -> None:
        """Go on until the end, whatever becomes of the line."""
        number = 0
        while not self.ending.is_set():
            with contextlib.suppress(*FAILURES), psycopg.connect(self.address, autocommit=True) as line:
                while not self.ending.is_set():
                    number += 1
                    line.execute("INSERT INTO spoken VALUES (%s)", [number])
                    self.acknowledged.append(number)
            self.ending.wait(0.1)

    def end(self) -> list[int]:
        """Stop, and say what was acknowledged."""
        self.ending.set()
        self.thread.join(timeout=30)
        return self.acknowledged


@pytest.fixture
def primary(transactional_db: None, notices: Rollout, tmp_path: Path) -> Iterator[Copy]:
    """A server of the test's own, that holds a rollout which is not due yet, and which nobody looks at."""
    later = clock.now() + LATER
    Rollout.objects.filter(pk=notices.pk).update(wake_at=later)
    WatchLead.objects.create(cluster=notices.environment.cluster.name, owner="another", until=later)
    port = int(connection.settings_dict["PORT"])
    made = Copy(tmp_path / "primary", Postgres(Path(os.environ["PORTAL_DATA"]) / "postgres", port))
    made.ask("CREATE TABLE spoken (number int PRIMARY KEY)")
    made.ask("GRANT ALL ON spoken TO PUBLIC")
    yield made
    made.kill()


@pytest.fixture
def line(primary: Copy) -> Iterator[Line]:
    """How everybody reaches the database."""
    made = Line((HOST, primary.postgres.port))
    thread = threading.Thread(target=made.listen, daemon=True)
    thread.start()
    yield made
    made.door.shutdown(2)
    made.door.close()
    thread.join(timeout=5)


@pytest.fixture
def roles(primary: Copy, line: Line, tmp_path: Path) -> Iterator[Nursery]:
    """A worker and a sweeper that are at work before anything breaks."""
    with nursery(tmp_path / "roles.log", DATABASE_URL=address_over(line), LEASE_SECONDS="2") as made:
        for role in ("worker", "sweeper"):
            made.birth(role)
        # One that cannot reach the database as it starts ends, for its supervisor to begin anew.
        assert wait_for(lambda: len(primary.ask(CONNECTED)) >= len(made.living), seconds=GO_ON_SECONDS)
        yield made


def require_all(server: Copy, roles: Nursery, rollout: Rollout, acknowledged: list[int]) -> None:
    """They end the rollout on what is left, which is everything that was acknowledged."""
    kept = {number for (number,) in server.ask("SELECT number FROM spoken")}
    assert acknowledged
    assert set(acknowledged) <= kept
    table, steps = Rollout._meta.db_table, Step._meta.db_table
    state = f"SELECT state FROM {table} WHERE id = {rollout.pk}"
    assert server.ask(state) == [("queued",)]
    server.ask(f"UPDATE {table} SET wake_at = now() WHERE id = {rollout.pk}")
    ended = wait_for(lambda: server.ask(state) == [("succeeded",)], seconds=GO_ON_SECONDS)
    assert ended, roles.log.read_text()[-3000:]
    assert all(is_alive(pid) for pid in roles.living), "a process gave up"
    done = server.ask(
        f"SELECT count(*), count(DISTINCT subject) FROM audit_auditentry a JOIN {steps} s "
        f"ON a.subject = s.id::text WHERE a.action = 'step.succeeded' AND s.rollout_id = {rollout.pk}"
    )
    assert done == [(3, 3)]


def address_over(line: Line) -> str:
    found = connection.settings_dict
    return f"postgresql://{found['USER']}:{found['PASSWORD']}@{HOST}:{line.port}/{found['NAME']}"


@long
def test_what_a_killed_server_acknowledged_is_there_when_it_is_back(
    primary: Copy, line: Line, roles: Nursery, notices: Rollout
) -> None:
    writer = Writer(address_over(line))
    assert wait_for(lambda: len(writer.acknowledged) > 20)
    primary.kill()
    time.sleep(AWAY_SECONDS)
    primary.start()
    before = len(writer.acknowledged)
    assert wait_for(lambda: len(writer.acknowledged) > before), "nobody came back by himself"
    require_all(primary, roles, notices, writer.end())


@soak
def test_a_synchronous_standby_that_takes_over_has_all_that_was_acknowledged(
    primary: Copy, line: Line, roles: Nursery, notices: Rollout, tmp_path: Path
) -> None:
    standby = Copy(tmp_path / "standby", primary.postgres, "-R")
    try:
        primary.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.ask("SELECT pg_reload_conf()")
        synchronous = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
        assert wait_for(lambda: primary.ask(synchronous) == [(1,)])
        writer = Writer(address_over(line))
        assert wait_for(lambda: len(writer.acknowledged) > 20)
        primary.kill()
        standby.ask("SELECT pg_promote()")
        line.server = (HOST, standby.postgres.port)
        before = len(writer.acknowledged)
        assert wait_for(lambda: len(writer.acknowledged) > before), "nobody came back by himself"
        require_all(standby, roles, notices, writer.end())
    finally:
        standby.kill()
