"""Loopback TCP ports for the parts that talk to each other on this machine."""

import json
import socket
from collections.abc import Iterable
from pathlib import Path

HOST = "127.0.0.1"


def is_free(port: int, *, host: str = HOST) -> bool:
    """Say whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Say whether somebody accepts connections on the port."""
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


def next_free_port(first: int) -> int:
    """Return the port, or the next one above it that nobody uses."""
    return next(port for port in range(first, 65536) if is_free(port))


def kept_ports(file: Path, names: Iterable[str]) -> dict[str, int]:
    """Return a free port for each name, the one noted in the file if that is still free, and note them."""
    noted = _noted(file)
    chosen: dict[str, int] = {}
    for name in names:
        port = noted.get(name, 0)
        usable = 1023 < port < 65536 and port not in chosen.values() and is_free(port)
        chosen[name] = port if usable else free_port()
    file.write_text(json.dumps(chosen))
    return chosen


def _noted(file: Path) -> dict[str, int]:
    try:
        noted = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return (
        {name: port for name, port in noted.items() if isinstance(port, int)}
        if isinstance(noted, dict)
        else {}
    )
