"""Waiting for processes, and servers of a test's own."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from portal.embedded import child
from portal.embedded.postgres import Postgres
from portal.embedded.valkey import Valkey


def wait_for(condition: Callable[[], bool], *, seconds: float = 15.0) -> bool:
    """Wait until the condition holds; say whether it does."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.03)
    return condition()


@contextmanager
def running(server: Postgres | Valkey) -> Iterator[subprocess.Popen[bytes]]:
    """Run the server while the block lasts."""
    server.prepare()
    command = server.command()
    process = child.start(command, output=subprocess.DEVNULL)
    try:
        child.wait_until_ready(process, name="server", is_ready=server.is_ready, timeout_seconds=20)
        yield process
    finally:
        child.stop(process, stop_signal=command.stop_signal, timeout_seconds=10)
