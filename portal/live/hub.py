"""One hub in a web process: reads each new event once and hands it to the sockets that watch its stream."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import aclosing
from typing import Any
from weakref import WeakKeyDictionary

from django.db import Error as DatabaseFault

from portal.live import queries
from portal.live.batches import Batch
from portal.live.bell import heard
from portal.live.sockets import SIGNED_OUT, Socket, Watch
from portal.live.threads import DatabaseThreads
from portal.people.models import User

logger = logging.getLogger(__name__)
BATCH_EVENTS = 200
POLL_SECONDS = 1.0
# A lost right must close the tap within two seconds, the asking included.
ASK_AGAIN_SECONDS = 1.5
RETRY_SECONDS = 1.0
CANCEL_AGAIN_SECONDS = 1.0
# A reader who goes from page to page leaves and comes back at once: threads and connections wait for them.
REST_SECONDS = 2.0
ASKING_THREADS = 2

_hubs: "WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = WeakKeyDictionary()


class Hub:
    """Lives from the first socket of an event loop until a while after the last one."""

    def __init__(self) -> None:
        self.guests = 0
        self.visited = False
        self.sockets: set[Socket] = set()
        self.watched: dict[str, dict[Watch, Socket]] = defaultdict(dict)
        self.read_up_to: dict[str, int] = {}
        self.grown: set[str] = set()
        self.news = asyncio.Event()
        self.reading = DatabaseThreads(1, name="live-read")
        self.asking = DatabaseThreads(ASKING_THREADS, name="live-ask")
        self.tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to listen, read, poll and ask again."""
        for work in (self._listen(), self._read(), self._poll(), self._ask_again()):
            self.tasks.append(asyncio.create_task(work))
        self.keeper = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        """Stay until nobody has been here for a while, or the loop ends."""
        try:
            while self.guests or self.visited:
                self.visited = False
                await asyncio.sleep(REST_SECONDS)
        finally:
            _hubs.pop(asyncio.get_running_loop(), None)
            await self.stop()

    async def stop(self) -> None:
        """End the tasks and the threads, which close their connections however this is cut short."""
        try:
            await self._end_tasks()
        finally:
            await asyncio.to_thread(self._close_threads)

    async def _end_tasks(self) -> None:
        """Cancel each until it has ended.

        Before Python 3.12 `asyncio.wait_for`, with which redis-py connects, loses a cancellation that comes
        in the moment when what it waits for is done.
        """
        while going := [task for task in self.tasks if not task.done()]:
            for task in going:
                task.cancel()
            await asyncio.wait(going, timeout=CANCEL_AGAIN_SECONDS)
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def _close_threads(self) -> None:
        self.reading.close()
        self.asking.close()

    async def watch(self, socket: Socket, topic: str, *, after: int) -> bool:
        """Let a socket follow a topic from a number on; False when the person may not, or it is not there."""
        found = await self.asking.run(queries.stream_for_session, socket.session_key, topic)
        if found is None:
            return False
        stream, last = found
        self.forget(socket, topic)
        begin = min(after, last)
        watch = Watch(topic, stream, queued=begin, sent=begin)
        self.read_up_to.setdefault(stream, last)
        socket.watches[topic] = watch
        self.watched[stream][watch] = socket
        socket.wake.set()
        return True

    def forget(self, socket: Socket, topic: str) -> None:
        """Let a socket no longer follow a topic."""
        watch = socket.watches.pop(topic, None)
        if watch is not None:
            self._unlink(watch)

    async def catch_up(self, socket: Socket) -> None:
        """Send a socket what its watches have missed, a page at a time, as fast as it reads."""
        for watch in [watch for watch in socket.watches.values() if watch.behind]:
            while watch.behind and socket.watches.get(watch.topic) is watch:
                await self._catch_up_page(socket, watch)

    async def _catch_up_page(self, socket: Socket, watch: Watch) -> None:
        known = self.read_up_to.get(watch.stream, 0)
        events = await self.asking.run(queries.events_after, watch.stream, watch.sent, limit=BATCH_EVENTS)
        if socket.watches.get(watch.topic) is not watch:
            return
        if events:
            batch = Batch(events)
            text = batch.text(watch.topic, language=socket.language, after=watch.sent)
            await socket.send({"type": "websocket.send", "text": text})
            watch.sent = watch.queued = batch.last
        # Without an await in between, so that no batch of the hub can slip past unseen.
        now_known = self.read_up_to.get(watch.stream, 0)
        if watch.sent >= now_known or (not events and now_known == known):
            watch.behind, watch.queued = False, max(watch.sent, now_known)

    async def _listen(self) -> None:
        """Hear from Redis which stream grew; without Redis the poll finds it a second later."""
        while True:
            async with aclosing(heard()) as streams:
                async for stream in streams:
                    self._note(stream)
            await asyncio.sleep(RETRY_SECONDS)

    def _note(self, stream: str) -> None:
        if stream in self.watched:
            self.grown.add(stream)
            self.news.set()

    async def _poll(self) -> None:
        """Look at the numbers of what is watched: for what Redis did not say."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if self.watched:
                await self._guarded(self._look())

    async def _look(self) -> None:
        for stream, last in (await self.reading.run(queries.last_numbers, list(self.watched))).items():
            if last > self.read_up_to.get(stream, 0):
                self._note(stream)

    async def _read(self) -> None:
        while True:
            await self.news.wait()
            self.news.clear()
            while self.grown:
                stream = self.grown.pop()
                if not await self._guarded(self._hand_out(stream)):
                    await asyncio.sleep(RETRY_SECONDS)

    async def _hand_out(self, stream: str) -> None:
        """Read a stream's new events once and offer them to everyone who watches it."""
        after = self.read_up_to.get(stream, 0)
        events = await self.reading.run(queries.events_after, stream, after, limit=BATCH_EVENTS)
        if not events or stream not in self.watched:
            return
        batch = Batch(events)
        self.read_up_to[stream] = batch.last
        for watch, socket in list(self.watched[stream].items()):
            socket.offer(watch, batch)
        if len(events) == BATCH_EVENTS:
            self.grown.add(stream)

    async def _ask_again(self) -> None:
        """Ask for every open topic whether it may still be read."""
        while True:
            await asyncio.sleep(ASK_AGAIN_SECONDS)
            await self._guarded(self._close_what_is_lost())

    async def _close_what_is_lost(self) -> None:
        sockets = list(self.sockets)
        people = await self.asking.run(queries.people_behind, {socket.session_key for socket in sockets})
        asked = _by_topic(sockets, people)
        wanted = {topic: list(users.values()) for topic, users in asked.items()}
        allowed = await self.asking.run(queries.allowed_streams, wanted)
        for socket in sockets:
            person = people.get(socket.session_key)
            if person is None or person.pk != socket.user.pk:
                self._end(socket)
                continue
            for topic, watch in list(socket.watches.items()):
                if person.pk in asked.get(topic, {}) and allowed[topic].get(person.pk) != watch.stream:
                    self._close_topic(socket, watch)

    def _end(self, socket: Socket) -> None:
        for watch in list(socket.watches.values()):
            self._close_topic(socket, watch)
        socket.close(SIGNED_OUT)

    def _close_topic(self, socket: Socket, watch: Watch) -> None:
        self._unlink(watch)
        socket.close_topic(watch.topic)

    def _unlink(self, watch: Watch) -> None:
        others = self.watched.get(watch.stream)
        if others is None:
            return
        others.pop(watch, None)
        if not others:
            del self.watched[watch.stream]
            self.read_up_to.pop(watch.stream, None)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do a piece of work; a database that is away for a while ends nothing."""
        try:
            await work
        except DatabaseFault as error:
            logger.warning("live hub waits for the database: %s", error)
            return False
        return True


def _by_topic(sockets: Iterable[Socket], people: Mapping[str, User]) -> dict[str, dict[int, User]]:
    """Who, by their key, has which topic open."""
    found: dict[str, dict[int, User]] = defaultdict(dict)
    for socket in sockets:
        if (person := people.get(socket.session_key)) is not None:
            for topic in socket.watches:
                found[topic][person.pk] = person
    return found


def enter() -> Hub:
    """The hub of this event loop, which is made for the first who enters."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub()
        hub.start()
    hub.guests += 1
    hub.visited = True
    return hub


def leave(hub: Hub, socket: Socket | None) -> None:
    """Go, with or without having had a socket."""
    if socket is not None:
        for topic in list(socket.watches):
            hub.forget(socket, topic)
        hub.sockets.discard(socket)
    hub.guests -= 1
    hub.visited = True


def open_sockets() -> int:
    """How many browsers this process serves."""
    return sum(len(hub.sockets) for hub in list(_hubs.values()))
