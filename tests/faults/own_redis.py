"""A Redis for one test, which it may kill, stop, fill, empty or slow down."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.test import override_settings

from portal import impatient, jobs
from portal.embedded import child
from portal.embedded.ports import free_port
from portal.embedded.valkey import Valkey
from portal.live import bell

SLOW_MILLISECONDS = 700


class Server:
    """A Redis of a test's own, and what can happen to it."""

    def __init__(self, folder: Path) -> None:
        self.valkey = Valkey(folder, free_port(), durable=False)
        self.valkey.prepare()
        self.start()

    def start(self) -> None:
        """Start it, empty."""
        self.process = child.start(self.valkey.command(), output=subprocess.DEVNULL)
        child.wait_until_ready(self.process, name="Valkey", is_ready=self.valkey.is_ready, timeout_seconds=20)

    def client(self) -> redis.Redis:
        """An administrator's own line."""
        return redis.Redis.from_url(self.valkey.url)

    def kill(self) -> None:
        """`kill -9`, whatever runs under the launcher."""
        child.kill_group(self.process.pid)
        self.process.wait()

    def send(self, number: signal.Signals) -> None:
        """Signal the server itself."""
        os.killpg(self.process.pid, number)

    def slow_down(self) -> None:
        """Let it answer nobody for most of every second."""
        self.is_slow = True
        threading.Thread(target=self._dawdle, daemon=True).start()

    def hurry(self) -> None:
        """Let it be as quick as ever."""
        self.is_slow = False

    def _dawdle(self) -> None:
        # It ends with the server where nobody ends it before.
        with contextlib.suppress(redis.RedisError), self.client() as client:
            while self.is_slow:
                client.execute_command("CLIENT", "PAUSE", SLOW_MILLISECONDS, "ALL")
                time.sleep(SLOW_MILLISECONDS / 1000 + 0.1)

    def limit(self, size: str) -> None:
        """Say how much it may keep; at one byte it takes nothing new."""
        with self.client() as client:
            client.config_set("maxmemory", size)

    def empty(self) -> None:
        """Forget everything."""
        with self.client() as client:
            client.flushall()


@contextlib.contextmanager
def own_redis(folder: Path) -> Iterator[Server]:
    """Start one, and let the portal of this test use it for a block; processes are told by `REDIS_URL`."""
    made = Server(folder)
    url = made.valkey.url
    with override_settings(REDIS_URL=url), pytest.MonkeyPatch.context() as patch:
        patch.setitem(settings.RQ_QUEUES["default"], "URL", url)
        for module in (jobs, bell):
            patch.setattr(module, "_redis_rests", impatient.Rest())
        yield made
    with contextlib.suppress(ProcessLookupError):
        made.kill()
