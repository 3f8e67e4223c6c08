"""A thousand sockets on one web process, against a thousand subscribers of plain Redis in the same run.

Both sides read in one process with the same small reader, which keeps the bytes with their time and looks at
them afterwards; both carry texts of the same length. Every socket has a session of its own.
"""

import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

from tests.bench.portal import ENVIRONMENT, Portal, cpu_seconds, running_portal
from tests.bench.row import Row

SOCKETS = 1000
AT_A_TIME = 50
ROUNDS = 5
EVENTS = 20
BURST = 200
GAP_SECONDS = 0.25
LONGEST_SECONDS = 60.0
TOPIC = f"board.{ENVIRONMENT}"
CHANNEL = "bench.raw"
EVENT = re.compile(rb'"id": ?(\d+)')
RAW = re.compile(rb"raw-(\d+)\.")
HANDSHAKE = (
    "GET /ws/live HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    "Cookie: session={session}\r\n\r\n"
)
PING = bytes([0x89, 4])  # with four bytes to send back; no text holds these two
Moments = dict[int, float]
Writing = Awaitable[Moments]


class Reader(asyncio.Protocol):
    """One connection: keeps what comes, with the time."""

    def __init__(self) -> None:
        self.got: list[tuple[float, bytes]] = []
        self.heard = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class

    def data_received(self, data: bytes) -> None:
        """Keep it; answer pings, else the server takes this side for dead."""
        self.got.append((time.time(), data))
        self.heard.set()
        if (found := data.find(PING)) >= 0:
            payload = data[found + 2 : found + 6]
            self.transport.write(bytes([0x8A, 0x84, 0, 0, 0, 0]) + payload)

    def arrivals(self, pattern: re.Pattern[bytes]) -> list[tuple[int, float]]:
        """Numbers in the order they came, each with the time its last byte came."""
        ends, size = [], 0
        for at, data in self.got:
            size += len(data)
            ends.append((size, at))
        found, chunk = [], 0
        for match in pattern.finditer(b"".join(data for _at, data in self.got)):
            while ends[chunk][0] < match.end():
                chunk += 1
            found.append((int(match[1]), ends[chunk][1]))
        return found


@dataclass(frozen=True)
class Writer:
    """The process that commits."""

    process: subprocess.Popen[str]

    @classmethod
    def start(cls, portal: Portal) -> "Writer":
        """Start it on the portal's own database and Redis."""
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "DATABASE_URL": portal.report["database_url"],
            "REDIS_URL": portal.report["redis_url"],
            "SECRET_KEY": (Path(portal.kubeconfig).parent / "secret_key").read_text(),
            "PUBLIC_URL": portal.report["url"],
        }
        command = [sys.executable, "-W", "ignore", "-m", "tests.bench.writer"]
        pipe = subprocess.PIPE
        return cls(subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True))

    def tell(self, *words: Any) -> Any:
        """Give a command and wait for its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    async def moments(self, *words: Any) -> Moments:
        """Give a command and keep reading meanwhile."""
        answer = await asyncio.to_thread(self.tell, *words)
        return {int(number): at for number, at in answer.items()}


def run() -> list[Row]:
    """Measure with everything else of the portal running."""
    with running_portal() as portal:
        writer = Writer.start(portal)
        try:
            return uvloop.run(_measure(portal, writer))
        finally:
            writer.process.terminate()
            writer.process.wait(10)


@dataclass(frozen=True)
class Round:
    """A number of events sent to every reader, one by one."""

    p99: float
    """From writing to reading, in seconds."""
    cpu: float
    """What the server spent on each message, in microseconds of its own processor time."""

    @classmethod
    async def of(
        cls, readers: list[Reader], pattern: re.Pattern[bytes], server: int, writing: Writing
    ) -> "Round":
        """Write, wait for all, and compare the moments."""
        _forget(readers)
        before = cpu_seconds(server)
        moments = await writing
        spent = cpu_seconds(server) - before
        await _all_heard(readers, pattern, max(moments))
        delays = [at - moments[number] for reader in readers for number, at in reader.arrivals(pattern)]
        assert len(delays) == len(moments) * len(readers), (len(delays), len(moments) * len(readers))
        return cls(statistics.quantiles(delays, n=100)[98], 1_000_000 * spent / len(delays))


async def _measure(portal: Portal, writer: Writer) -> list[Row]:
    sockets = await _open_sockets(portal, writer.tell("sessions", SOCKETS))
    subscribers = await _open_subscribers(portal)
    first = await writer.moments("events", TOPIC, 1, 1.0)
    await _all_heard(sockets, EVENT, max(first))
    size = next(len(data) for _at, data in reversed(sockets[0].got) if EVENT.search(data))
    web, valkey = portal.report["pids"]["web"][0], portal.report["pids"]["valkey"]
    ours, plain = [], []
    for number in range(ROUNDS):
        raw = writer.moments("raw", CHANNEL, number * EVENTS + 1, EVENTS, GAP_SECONDS, size)
        plain.append(await Round.of(subscribers, RAW, valkey, raw))
        events = writer.moments("events", TOPIC, EVENTS, GAP_SECONDS)
        ours.append(await Round.of(sockets, EVENT, web, events))
    one_by_one = await _lost(sockets, await writer.moments("events", TOPIC, BURST, 0))
    at_once = await _lost(sockets, await writer.moments("at_once", TOPIC, BURST))
    return [
        *_rows("plain Redis", plain),
        *_rows("commit to browser, one web process", ours),
        Row.of(
            f"portal / plain Redis, p99 of {SOCKETS} clients",
            [one.p99 / other.p99 for one, other in zip(ours, plain, strict=True)],
            "ratio",
            target=1.5,
        ),
        Row.of(f"burst of {BURST} commits: lost, doubled or disordered", [one_by_one], "events", target=0),
        Row.of(f"burst of {BURST} in one commit: the same", [at_once], "events", target=0),
    ]


def _rows(what: str, rounds: list[Round]) -> Iterator[Row]:
    yield Row.of(f"{what}: p99", [1000 * each.p99 for each in rounds], "ms")
    yield Row.of(f"{what}: server's processor time a message", [each.cpu for each in rounds], "us")


async def _open_sockets(portal: Portal, sessions: list[str]) -> list[Reader]:
    host = urlsplit(portal.report["url"]).netloc
    name, _colon, port = host.partition(":")
    frame = _masked(json.dumps({"subscribe": TOPIC, "after": 0}).encode())
    readers = []

    async def one(index: int) -> Reader:
        transport, reader = await asyncio.get_running_loop().create_connection(Reader, name, int(port))
        session = sessions[index % len(sessions)]
        transport.write(HANDSHAKE.format(host=host, session=session).encode())
        async with asyncio.timeout(LONGEST_SECONDS):
            await reader.heard.wait()
        assert b" 101 " in reader.got[0][1], reader.got[0][1][:200]
        transport.write(frame)
        return reader

    for begin in range(0, SOCKETS, AT_A_TIME):
        readers += await asyncio.gather(*(one(index) for index in range(begin, begin + AT_A_TIME)))
    return readers


async def _open_subscribers(portal: Portal) -> list[Reader]:
    address = urlsplit(portal.report["redis_url"])
    hello = f"AUTH {address.username or 'default'} {address.password}\r\n" if address.password else ""
    readers = []
    for _each in range(SOCKETS):
        transport, reader = await asyncio.get_running_loop().create_connection(
            Reader, address.hostname, address.port
        )
        transport.write(f"{hello}SUBSCRIBE {CHANNEL}\r\n".encode())
        readers.append(reader)
    return readers


def _masked(payload: bytes) -> bytes:
    """A text frame as browsers send it; a mask of zeros leaves the payload as it is (RFC 6455, 5.3)."""
    return bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload


async def _lost(readers: list[Reader], moments: Moments) -> int:
    """How many events of a burst did not come exactly once and in order, over all clients."""
    await _all_heard(readers, EVENT, max(moments))
    wanted = sorted(moments)
    came = [[n for n, _at in reader.arrivals(EVENT) if n in moments] for reader in readers]
    _forget(readers)
    return sum(BURST for numbers in came if numbers != wanted)


async def _all_heard(readers: list[Reader], pattern: re.Pattern[bytes], last: int) -> None:
    """Wait until each reader has the last number; a reader who never gets it is counted by the caller."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        await asyncio.sleep(1)
        if all(last in dict(reader.arrivals(pattern)) for reader in readers):
            return


def _forget(readers: list[Reader]) -> None:
    for reader in readers:
        reader.got.clear()
