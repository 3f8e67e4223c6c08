"""Threads with database connections of their own, which only read, for an event loop that must not wait."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import ParamSpec, TypeVar

from django.db import Error as DatabaseFault
from django.db import connection, connections

Given = ParamSpec("Given")
Result = TypeVar("Result")


class DatabaseThreads:
    """A few threads whose connections last as long as they do: they are used too often to grow stale."""

    def __init__(self, count: int, *, name: str) -> None:
        self.count = count
        self.pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def run(
        self, function: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs
    ) -> Result:
        """Call the function in one of the threads; a connection that failed is not used again."""

        def work() -> Result:
            try:
                _connect_for_reading()
                return function(*args, **kwargs)
            except DatabaseFault:
                connections.close_all()
                raise

        return await asyncio.get_running_loop().run_in_executor(self.pool, work)

    def close(self) -> None:
        """Close every thread's connections, then end the threads."""
        together = threading.Barrier(self.count)  # so that each thread takes exactly one of these
        wait([self.pool.submit(_close, together) for _number in range(self.count)])
        self.pool.shutdown()


def _connect_for_reading() -> None:
    """Let the database itself refuse what a socket's question would write, whoever asks (attacks.md, 1d)."""
    if connection.connection is None:
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = on")


def _close(together: threading.Barrier) -> None:
    connections.close_all()
    together.wait()
