"""Answers HTTP on threads that stay, each with a database connection that is used again and again.

Django's own handler gives every request a thread, and so a connection, that is opened for it and thrown away
after it; and goes from the loop to that thread and back for each middleware.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase

# More requests at once get threads too, which end with them: connections are few.
KEPT = 8


class Handler(ASGIHandler):
    """Runs the whole of a request, middleware and view, in one go on one thread."""

    def __init__(self) -> None:
        super().__init__()
        self.idle: list[ThreadPoolExecutor] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request on a thread that has nothing else to do."""
        # The one that came back last: its connection is the least likely to have grown old.
        thread = self.idle.pop() if self.idle else ThreadPoolExecutor(1, thread_name_prefix="request")
        try:
            async with ThreadSensitiveContext(executor=thread):
                await self.handle(scope, receive, send)
        finally:
            # Behind what it may still do for somebody who has gone away meanwhile.
            thread.submit(asyncio.get_running_loop().call_soon_threadsafe, self._take_back, thread)

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: ARG002  Django's signature
        """Build the chain for threads, whatever is asked for: nothing of the portal's is asynchronous."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Compute the answer on the request's thread."""
        return await sync_to_async(self.get_response)(request)

    def _take_back(self, thread: ThreadPoolExecutor) -> None:
        if len(self.idle) < KEPT:
            self.idle.append(thread)
            return
        thread.submit(connections.close_all)
        thread.shutdown(wait=False)
