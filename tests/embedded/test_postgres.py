"""The PostgreSQL that comes along."""

import os
import pwd
import signal
import stat
from pathlib import Path

import psycopg
import pytest

from portal.embedded import child
from portal.embedded.accounts import UNPRIVILEGED
from portal.embedded.child import StartError, is_alive
from portal.embedded.ports import free_port
from portal.embedded.postgres import Postgres
from tests.embedded.processes import running, wait_for
from tests.soak import long


@pytest.fixture
def server(tmp_path: Path) -> Postgres:
    return Postgres(tmp_path / "postgres", free_port(), durable=False)


RIGHTS = "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"


@long
def test_one_role_owns_the_database_another_uses_it_and_none_is_a_superuser(server: Postgres) -> None:
    with running(server):
        server.open_for_portal()
        server.open_for_portal()  # a second start must not trip over the first
        with psycopg.connect(server.owner_url) as connection:
            connection.execute("CREATE TABLE note (text text)")
            owner = connection.execute(RIGHTS).fetchone()
            version = connection.execute("SHOW server_version_num").fetchone()
        with psycopg.connect(server.url, autocommit=True) as connection:
            application = connection.execute(RIGHTS).fetchone()
            for statement in ("CREATE TABLE own (text text)", "SELECT text FROM note", "DROP TABLE note"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
    assert owner == (False, True, False)
    assert application == (False, False, False)
    assert version is not None
    assert version[0].startswith("18")


@long
def test_data_and_password_stay_over_a_stop_and_a_start(server: Postgres) -> None:
    with running(server):
        server.open_for_portal()
        address = server.owner_url
        with psycopg.connect(address) as connection:
            connection.execute("CREATE TABLE note AS SELECT 'kept' AS text")
    with running(server), psycopg.connect(address) as connection:
        assert connection.execute("SELECT text FROM note").fetchone() == ("kept",)


@long
def test_data_stays_over_kill_9_of_the_server(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "postgres", free_port())
    with running(server) as process:
        server.open_for_portal()
        with psycopg.connect(server.owner_url) as connection:
            connection.execute("CREATE TABLE note AS SELECT 'committed' AS text")
        process.kill()
        process.wait()
    with running(server), psycopg.connect(server.owner_url) as connection:
        assert connection.execute("SELECT text FROM note").fetchone() == ("committed",)


@long
def test_a_lock_whose_number_belongs_to_another_program_now_is_no_obstacle(server: Postgres) -> None:
    with running(server):
        pass
    lock = server.folder / "data" / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{server.folder / 'data'}\n0\n{server.port}\n\n127.0.0.1\n")
    with running(server) as process:
        assert process.poll() is None


@long
def test_a_wrong_password_is_refused(server: Postgres) -> None:
    with running(server):
        server.open_for_portal()
        address = server.url.replace(":", ":wrong-", 2).replace(":wrong-", ":", 1)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(address)


@long
def test_passwords_are_readable_by_their_owner_only(server: Postgres) -> None:
    server.prepare()
    _ = server.url, server.owner_url
    files = sorted(server.folder.glob("*.password"))
    assert [file.name for file in files] == ["portal.password", "portal_app.password", "postgres.password"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((server.folder / "data").stat().st_mode) == 0o700


@long
def test_data_of_another_major_version_is_refused_in_words(server: Postgres) -> None:
    server.prepare()
    (server.folder / "data" / "PG_VERSION").write_text("15\n")
    with pytest.raises(StartError, match="made by PostgreSQL 15, here is 18"):
        server.prepare()


@long
def test_the_server_and_its_backends_end_with_the_process_that_started_it(
    server: Postgres, tmp_path: Path
) -> None:
    server.prepare()
    starter = os.fork()
    if starter == 0:
        process = child.start(server.command(), output=os.open(os.devnull, os.O_WRONLY))
        (tmp_path / "pid").write_text(str(process.pid))
        signal.pause()
    assert wait_for(server.is_ready)
    pid = int((tmp_path / "pid").read_text())
    os.kill(starter, signal.SIGKILL)
    os.waitpid(starter, 0)
    assert wait_for(lambda: not is_alive(pid))
    assert not server.is_ready()


@long
def test_the_server_runs_without_roots_rights_whoever_starts_it(server: Postgres) -> None:
    with running(server):
        owner = (server.folder / "data" / "postmaster.pid").stat().st_uid
    assert owner != 0
    assert owner in {os.geteuid(), pwd.getpwnam(UNPRIVILEGED).pw_uid}
