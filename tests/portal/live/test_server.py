"""The sockets over a real server: bursts, reconnection, and a Redis that forgets."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from socket import SO_RCVBUF, SOL_SOCKET
from unittest.mock import create_autospec

import pytest
import redis
import uvicorn
from django.conf import settings
from django.db import connections, transaction
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from portal.asgi import application
from portal.embedded.ports import free_port
from portal.live import sockets
from portal.live.protocol import LiveProtocol
from portal.live.publish import publish
from portal.people.models import User
from tests.portal.live.browser import session_of, write
from tests.soak import long

BURST = 300


@pytest.fixture
def port(minji: User) -> Iterator[int]:
    """A web server in a thread, on the test's database."""
    chosen = free_port()
    config = uvicorn.Config(
        application, port=chosen, ws=LiveProtocol, lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield chosen
    server.should_exit = True
    thread.join()


def open_socket(port: int, key: str, *, origin: str = "") -> connect:
    return connect(
        f"ws://127.0.0.1:{port}/ws/live",
        origin=origin or f"http://127.0.0.1:{port}",  # type: ignore[arg-type]
        additional_headers={"Cookie": f"{settings.SESSION_COOKIE_NAME}={key}"},
        max_size=None,
    )


async def read(socket: ClientConnection, *, until: int) -> list[int]:
    """The numbers that come, until the one named."""
    numbers: list[int] = []
    while not numbers or numbers[-1] < until:
        frame = json.loads(await asyncio.wait_for(socket.recv(), 10))
        numbers += [event["id"] for event in frame["events"]]
    return numbers


async def follow(port: int, key: str, *, after: int, until: int) -> list[int]:
    async with open_socket(port, key) as socket:
        await socket.send(json.dumps({"subscribe": "practice.1", "after": after}))
        return await read(socket, until=until)


def in_background(count: int, *, start: int) -> threading.Thread:
    """Write in a thread of its own, as a worker would."""

    def work() -> None:
        write("practice.1", count, start=start)
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@long
def test_ten_browsers_in_a_burst_miss_nothing_and_read_nothing_twice(minji: User, port: int) -> None:
    key = session_of(minji)

    async def all_follow() -> list[list[int]]:
        writer = in_background(BURST, start=1)
        numbers = await asyncio.gather(*(follow(port, key, after=0, until=BURST) for _browser in range(10)))
        await asyncio.to_thread(writer.join)
        return numbers

    assert all(numbers == list(range(1, BURST + 1)) for numbers in asyncio.run(all_follow()))


@long
def test_a_browser_that_comes_back_again_and_again_misses_nothing(minji: User, port: int) -> None:
    key = session_of(minji)

    async def come_and_go() -> list[int]:
        writer = in_background(BURST, start=1)
        numbers: list[int] = []
        while len(numbers) < BURST:
            after = numbers[-1] if numbers else 0
            numbers += await follow(port, key, after=after, until=min(after + 40, BURST))
        await asyncio.to_thread(writer.join)
        return numbers

    assert asyncio.run(come_and_go()) == list(range(1, BURST + 1))


def test_an_emptied_redis_loses_nothing(minji: User, port: int) -> None:
    key = session_of(minji)
    server = redis.Redis.from_url(settings.REDIS_URL)

    async def forget_in_the_middle() -> list[int]:
        async with open_socket(port, key) as socket:
            await socket.send(json.dumps({"subscribe": "practice.1", "after": 0}))
            for start in range(1, 101, 20):
                writer = in_background(20, start=start)
                await asyncio.to_thread(server.flushdb)
                await asyncio.to_thread(server.client_kill_filter, _type="pubsub")
                await asyncio.to_thread(writer.join)
            return await read(socket, until=100)

    assert asyncio.run(forget_in_the_middle()) == list(range(1, 101))
    server.close()


def write_large() -> None:
    with transaction.atomic():
        publish("practice.1", "practice.happened", {"filling": "x" * 200_000})
    connections.close_all()


@long
def test_a_browser_that_does_not_read_for_a_while_loses_nothing(
    minji: User, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "LARGEST_QUEUE", 3)
    fallen = create_autospec(sockets.Socket.fall_behind, side_effect=sockets.Socket.fall_behind)
    monkeypatch.setattr(sockets.Socket, "fall_behind", fallen)
    key = session_of(minji)

    async def pause_in_the_middle() -> tuple[list[int], int]:
        async with open_socket(port, key) as socket:
            await socket.send(json.dumps({"subscribe": "practice.1"}))
            await asyncio.to_thread(in_background(1, start=1).join)
            assert await read(socket, until=1) == [1]
            socket.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_RCVBUF, 65_536)
            socket.transport.pause_reading()
            last = 1
            while not fallen.called and last < 200:
                await asyncio.to_thread(write_large)
                last += 1
            socket.transport.resume_reading()
            return await read(socket, until=last), last

    read_numbers, last = asyncio.run(pause_in_the_middle())
    assert read_numbers == list(range(2, last + 1))
    assert fallen.called


def test_strangers_get_no_socket(minji: User, port: int) -> None:
    key = session_of(minji)

    async def attempt(cookie: str, origin: str) -> int:
        try:
            async with open_socket(port, cookie, origin=origin):
                return 101
        except InvalidStatus as error:
            return error.response.status_code

    assert asyncio.run(attempt(key, "http://evil.example")) == 403
    assert asyncio.run(attempt("a" * 32, "")) == 403
    assert asyncio.run(attempt(key, "")) == 101


def test_a_frame_that_is_no_request_is_answered_with_a_code(minji: User, port: int) -> None:
    key = session_of(minji)

    async def attempt() -> int | None:
        async with open_socket(port, key) as socket:
            await socket.send("nonsense")
            with pytest.raises(ConnectionClosed) as end:
                await asyncio.wait_for(socket.recv(), 5)
            return end.value.rcvd.code if end.value.rcvd else None

    assert asyncio.run(attempt()) == 4400
