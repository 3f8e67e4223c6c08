"""A browser's side of /ws/live for tests, and topics that can be opened and closed."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import transaction
from django.test import Client

from portal.asgi import application
from portal.live import topics
from portal.live.publish import publish
from portal.people.models import User

ORIGIN = b"http://localhost"
CLOSED: set[tuple[str, str]] = set()
"""(username, key) of what a person may not read."""


def _readers(users: Collection[User], key: str) -> list[User]:
    return [user for user in users if (user.username, key) not in CLOSED]


@contextmanager
def practice_topics() -> Iterator[None]:
    """Register topics "practice.KEY", open to all but those in CLOSED."""
    topics.register("practice", _readers)
    try:
        yield
    finally:
        del topics.KINDS["practice"]
        CLOSED.clear()


def session_of(user: User) -> str:
    """Sign the person in and return the session's key."""
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def write(topic: str, count: int = 1, *, start: int = 1) -> None:
    """Publish events, each in its own transaction."""
    for number in range(start, start + count):
        with transaction.atomic():
            publish(topic, "practice.happened", {"n": number})


awrite = sync_to_async(write)


class Browser:
    """Speaks the protocol, below which is ASGI."""

    def __init__(self, scope: dict[str, Any]) -> None:
        self.inward: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outward: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        served = application(scope, self.inward.get, self.outward.put)
        self.portal = asyncio.ensure_future(served)

    async def connect(self) -> bool:
        """Ask to come in; say whether the portal let us."""
        await self.send_input({"type": "websocket.connect"})
        accepted = (await self.output())["type"] == "websocket.accept"
        if not accepted:
            await self.go()
        return bool(accepted)

    async def send_input(self, message: dict[str, Any]) -> None:
        """Send an ASGI message."""
        await self.inward.put(message)

    async def output(self, *, timeout: float = 5) -> dict[str, Any]:
        """The next ASGI message."""
        return await asyncio.wait_for(self.outward.get(), timeout)

    async def send_text(self, text: str) -> None:
        """Send a frame."""
        await self.send_input({"type": "websocket.receive", "text": text})

    async def subscribe(self, topic: str, after: int = 0) -> None:
        """Ask to follow a topic."""
        await self.send_text(json.dumps({"subscribe": topic, "after": after}))

    async def frame(self, *, timeout: float = 5) -> dict[str, Any]:
        """The next frame."""
        message = await self.output(timeout=timeout)
        assert message["type"] == "websocket.send", message
        frame: dict[str, Any] = json.loads(message["text"])
        return frame

    async def events(self, count: int, *, timeout: float = 5) -> list[int]:
        """The numbers of the next events, until there are `count`."""
        numbers: list[int] = []
        while len(numbers) < count:
            numbers += [event["id"] for event in (await self.frame(timeout=timeout))["events"]]
        return numbers

    async def go(self) -> None:
        """Close the page."""
        await self.send_input({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait_for(self.portal, 5)


@asynccontextmanager
async def browser(session_key: str, *, origin: bytes = ORIGIN) -> AsyncIterator[Browser]:
    """An accepted socket, closed at the end."""
    socket = connecting(session_key, origin=origin)
    assert await socket.connect()
    try:
        yield socket
    finally:
        await socket.go()


def connecting(session_key: str, *, origin: bytes = ORIGIN) -> Browser:
    """A socket that has not been accepted yet."""
    cookie = f"{settings.SESSION_COOKIE_NAME}={session_key}".encode()
    headers = [(b"cookie", cookie), (b"origin", origin), (b"host", b"localhost")]
    scope = {
        "type": "websocket",
        "path": "/ws/live",
        "query_string": b"",
        "headers": [pair for pair in headers if pair[1]],
        "subprotocols": [],
    }
    return Browser(scope)
