"""Threads with database connections of their own, for an event loop that must not wait."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import ParamSpec, TypeVar

from django.db import connections

Given = ParamSpec("Given")
Result = TypeVar("Result")


class DatabaseThreads:
    """A few threads; their connections are closed with them."""

    def __init__(self, count: int, *, name: str) -> None:
        self.count = count
        self.pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def run(
        self, function: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs
    ) -> Result:
        """Call the function in one of the threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.pool, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """Close every thread's connections, then end the threads."""
        together = threading.Barrier(self.count)  # so that each thread takes exactly one of these
        wait([self.pool.submit(_close, together) for _number in range(self.count)])
        self.pool.shutdown()


def _close(together: threading.Barrier) -> None:
    connections.close_all()
    together.wait()
