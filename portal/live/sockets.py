"""One browser's socket: what it watches, how far it has read, and the frames on their way to it."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from django.utils import translation
from django.utils.translation import gettext

from portal.live.batches import Batch
from portal.people.models import User

Send = Callable[[dict[str, Any]], Awaitable[None]]
Write = Callable[[bytes], bool]
LARGEST_QUEUE = 200
NOT_ALLOWED = "no longer allowed"
SIGNED_OUT = 4401


@dataclass(eq=False, slots=True)
class Watch:
    """A topic on a socket.

    Attributes:
        topic: as the browser calls it.
        stream: as it is stored.
        queued: the highest number put on its way.
        sent: the highest number handed to the network.
        behind: it reads from the database by itself until it has caught up with the hub.
    """

    topic: str
    stream: str
    queued: int
    sent: int
    behind: bool = True


@dataclass(frozen=True)
class Frame:
    """A text on its way; `last` is the highest number in it for its watch."""

    text: str
    watch: Watch | None = None
    last: int = 0


@dataclass(eq=False, slots=True)
class Socket:
    """What a browser does not take at once waits in a queue; a full one is dropped and read again by number.

    Attributes:
        send: ASGI's, waits for a slow browser.
        write: writes a ready frame without waiting or says False; None where the server has no such way.
        flushing: a frame of the queue is with `send`, nothing may overtake it.
    """

    session_key: str
    user: User
    language: str
    send: Send
    write: Write | None = None
    flushing: bool = False
    watches: dict[str, Watch] = field(default_factory=dict)
    queue: deque[Frame] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    close_code: int | None = None

    def offer(self, watch: Watch, batch: Batch) -> None:
        """Put a batch on its way to the browser, or note that it must be read again."""
        if watch.behind or batch.last <= watch.queued or self._written(watch, batch):
            return
        if len(self.queue) >= LARGEST_QUEUE:
            self.fall_behind()
            return
        text = batch.text(watch.topic, language=self.language, after=watch.queued)
        self.queue.append(Frame(text, watch, batch.last))
        watch.queued = batch.last
        self.wake.set()

    def _written(self, watch: Watch, batch: Batch) -> bool:
        if self.write is None or self.queue or self.flushing:
            return False
        if not self.write(batch.frame(watch.topic, language=self.language, after=watch.queued)):
            return False
        watch.queued = watch.sent = batch.last
        return True

    def fall_behind(self) -> None:
        """Forget what waits: every watch goes on from what was sent, out of the database."""
        self.queue = deque(frame for frame in self.queue if frame.watch is None)
        for watch in self.watches.values():
            watch.behind, watch.queued = True, watch.sent
        self.wake.set()

    def say(self, content: dict[str, Any]) -> None:
        """Put a frame of its own on its way."""
        self.queue.append(Frame(json.dumps(content, ensure_ascii=False)))
        self.wake.set()

    def close_topic(self, topic: str) -> None:
        """End one topic: why in the one word programs rely on, and in the reader's language."""
        self.watches.pop(topic, None)
        with translation.override(self.language):
            self.say({"topic": topic, "closed": NOT_ALLOWED, "text": gettext("no longer allowed")})

    def close(self, code: int) -> None:
        """End the socket once what waits has been sent."""
        self.close_code = code
        self.wake.set()

    async def flush(self) -> None:
        """Send what waits; frames of topics closed meanwhile are left out."""
        self.flushing = True
        try:
            while self.queue:
                await self._send(self.queue.popleft())
        finally:
            self.flushing = False

    async def _send(self, frame: Frame) -> None:
        if frame.watch is not None and self.watches.get(frame.watch.topic) is not frame.watch:
            return
        await self.send({"type": "websocket.send", "text": frame.text})
        if frame.watch is not None:
            frame.watch.sent = frame.last
