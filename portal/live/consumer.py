"""The WebSocket's door: who comes in, what they may send, and frames out as fast as they read.

A plain ASGI application: Channels' consumers subscribe to Redis once per socket, the hub once per process.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import Error as DatabaseFault

from portal.live import hub as hubs
from portal.live import queries
from portal.live.protocol import EXTENSION
from portal.live.sockets import Socket

logger = logging.getLogger(__name__)
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
LARGEST_FRAME = 4096
MOST_TOPICS = 50
HIGHEST_NUMBER = 2**62
BAD_FRAME, TOO_LARGE, TOO_MANY, TRY_AGAIN = 4400, 1009, 4429, 1013


class BadFrame(Exception):
    """The browser sent something that is no request; the code says what."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class LiveConsumer:
    """Hands the events of the topics a person watches to their browser."""

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self.send = scope, receive, send

    @classmethod
    def as_asgi(cls) -> Any:
        """The application for the router, whose types know pages only."""

        async def application(scope: Message, receive: Receive, send: Send) -> None:
            await cls(scope, receive, send).run()

        return application

    async def run(self) -> None:
        """Serve one socket from its connection to its end."""
        await self.receive()  # websocket.connect
        key = session_key(self.scope)
        if not key or not is_own_origin(self.scope):
            await self._refuse()
            return
        hub, socket = hubs.enter(), None
        try:
            socket = await self._admit(hub, key)
            if socket is None:
                await self._refuse()
            else:
                await self._serve(hub, socket)
        finally:
            hubs.leave(hub, socket)

    async def _refuse(self) -> None:
        """Close before accepting: the browser sees a refused request."""
        await self.send({"type": "websocket.close", "code": 4403})

    async def _admit(self, hub: hubs.Hub, key: str) -> Socket | None:
        """Find the person of the session, who must be there before the connection is accepted."""
        try:
            user = (await hub.asking.run(queries.people_behind, [key])).get(key)
        except DatabaseFault:
            return None
        if user is None:
            return None
        chosen = user.language or self.scope["cookies"].get(settings.LANGUAGE_COOKIE_NAME, "")
        language = chosen if chosen in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
        write = self.scope.get("extensions", {}).get(EXTENSION)
        return Socket(session_key=key, user=user, language=language, send=self.send, write=write)

    async def _serve(self, hub: hubs.Hub, socket: Socket) -> None:
        """Listen and speak until either ends."""
        await self.send({"type": "websocket.accept"})
        hub.sockets.add(socket)
        ways = [asyncio.create_task(self._listen(hub, socket)), asyncio.create_task(self._speak(hub, socket))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for outcome in await asyncio.gather(*ways, return_exceptions=True):
                # A browser that goes in the middle of a send is how sockets end; the rest is a fault of ours.
                if isinstance(outcome, Exception) and not isinstance(outcome, OSError):
                    logger.error("a live socket failed", exc_info=outcome)

    async def _listen(self, hub: hubs.Hub, socket: Socket) -> None:
        """Take requests until the browser goes."""
        while True:
            message = await self.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                await self._obey(hub, socket, message)
            except BadFrame as error:
                socket.close(error.code)
                await self.receive_rest()
                return
            except DatabaseFault:
                socket.close(TRY_AGAIN)

    async def receive_rest(self) -> None:
        """Wait for the end, so that the code that was sent reaches the browser first."""
        while (await self.receive())["type"] != "websocket.disconnect":
            continue

    async def _obey(self, hub: hubs.Hub, socket: Socket, message: Message) -> None:
        wanted = read_frame(message.get("text"))
        if "unsubscribe" in wanted:
            hub.forget(socket, wanted["unsubscribe"])
            return
        topic = wanted["subscribe"]
        if topic not in socket.watches and len(socket.watches) >= MOST_TOPICS:
            raise BadFrame(TOO_MANY)
        if not await hub.watch(socket, topic, after=wanted.get("after", 0)):
            socket.close_topic(topic)

    async def _speak(self, hub: hubs.Hub, socket: Socket) -> None:
        """Send what waits; a database that is away ends the socket, and the browser comes back."""
        while True:
            await socket.wake.wait()
            socket.wake.clear()
            try:
                await socket.flush()
                await hub.catch_up(socket)
            except DatabaseFault:
                socket.close(TRY_AGAIN)
            if socket.close_code is not None:
                await socket.flush()
                await self.send({"type": "websocket.close", "code": socket.close_code})
                return


def read_frame(text: str | None) -> Message:
    """Read what a browser asks for.

    Raises:
        BadFrame: too large, or anything but {"subscribe": topic, "after": number} or {"unsubscribe": topic}.
    """
    if text is None:
        raise BadFrame(BAD_FRAME)
    if len(text) > LARGEST_FRAME:
        raise BadFrame(TOO_LARGE)
    try:
        wanted = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFrame(BAD_FRAME) from error
    if not isinstance(wanted, dict) or not _is_request(wanted):
        raise BadFrame(BAD_FRAME)
    return wanted


def _is_request(wanted: Message) -> bool:
    if set(wanted) == {"unsubscribe"}:
        return isinstance(wanted["unsubscribe"], str)
    if not {"subscribe"} <= set(wanted) <= {"subscribe", "after"} or not isinstance(wanted["subscribe"], str):
        return False
    after = wanted.get("after", 0)
    return type(after) is int and 0 <= after <= HIGHEST_NUMBER


def is_own_origin(scope: Message) -> bool:
    """Whether the page that opens the socket came from this very portal, host and port."""
    headers = dict(scope.get("headers", []))
    origin = headers.get(b"origin", b"").decode("latin1").lower()
    host = headers.get(b"host", b"").decode("latin1")
    if not origin or not host:
        return False
    own: tuple[str, str] = (settings.PUBLIC_URL, f"{urlsplit(origin).scheme}://{host.lower()}")
    return origin in own


def session_key(scope: Message) -> str:
    """The key in the session cookie; "" for what cannot be one."""
    key = str(scope.get("cookies", {}).get(settings.SESSION_COOKIE_NAME, ""))
    return key if key.isascii() and key.isalnum() and len(key) <= 40 else ""
