"""Sends a watch to its client until one of both has had enough."""

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from portal.embedded.cluster.watch import Watch


class WatchResponse(Response):
    """A chunked answer of JSON lines; notices at once when the client is gone."""

    media_type = "application/json"

    def __init__(
        self, watch: Watch, *, first: bytes, seconds: float, bookmarks: bool, watches: set[Watch]
    ) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._watch = watch
        self._first = first
        self._seconds = seconds
        self._bookmarks = bookmarks
        self._watches = watches

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's shape
        self._watches.add(self._watch)
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            self._watches.discard(self._watch)
            self._watch.close()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._first, "more_body": True})
        async for text in self._watch.stream(seconds=self._seconds, bookmarks=self._bookmarks):
            await send({"type": "http.response.body", "body": text, "more_body": True})
        if self._watch.is_cut:
            # Without the last chunk: the client sees a connection that broke in the middle.
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
