"""The portal's own processes, as parts for the supervisor: web, workers, watcher and sweeper."""

import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from portal.embedded.child import REPOSITORY, Command
from portal.embedded.ports import HOST
from portal.embedded.supervisor import Part

MANAGE = REPOSITORY / "manage.py"
READY_FILE = "PORTAL_READY_FILE"
WORKERS = 2


def manage(*words: str, env: Mapping[str, str]) -> Command:
    """Return `manage.py WORDS` as a command."""
    return Command((sys.executable, str(MANAGE), *words), env=env)


def role_parts(data: Path, *, env: Mapping[str, str]) -> list[Part]:
    """Return the processes of the portal; `env` tells them where the servers are."""
    port, address = int(env["PORT"]), env["PUBLIC_URL"]
    web = Part("web", "web", manage("run", "web", env=env), partial(web_answers, port, address=address))
    names = [f"worker-{number}" for number in range(1, WORKERS + 1)] + ["watcher", "sweeper"]
    background = [
        _background(name, folder=data / "ready", env={**env, **_own_port(env, number)})
        for number, name in enumerate(names)
    ]
    return [web, *background]


def _own_port(env: Mapping[str, str], number: int) -> dict[str, str]:
    """Where METRICS_PORT is given, the first of the processes gets it and each other one the next."""
    given = env.get("METRICS_PORT")
    return {"METRICS_PORT": str(int(given) + number)} if given else {}


def _background(name: str, *, folder: Path, env: Mapping[str, str]) -> Part:
    """A role without a port says that it is ready by making a file."""
    role, sign = name.partition("-")[0], folder / name
    command = manage("run", role, env={**env, READY_FILE: str(sign)})
    return Part(name, role, command, sign.exists, prepare=_forget(sign))


def _forget(sign: Path) -> Callable[[], None]:
    def prepare() -> None:
        sign.parent.mkdir(parents=True, exist_ok=True)
        sign.unlink(missing_ok=True)

    return prepare


def web_answers(port: int, *, address: str) -> bool:
    """Say whether the web process answers `/livez`, asked under the name that people use."""
    host = urlsplit(address).netloc
    request = urllib.request.Request(f"http://{HOST}:{port}/livez", headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310  the address is ours
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
