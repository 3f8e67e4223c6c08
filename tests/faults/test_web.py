"""Web processes are killed while browsers watch: they say what they saw last, and miss and double nothing."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections, transaction
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from portal.embedded.ports import free_port
from portal.live.publish import publish
from releases.rollouts.models import Rollout
from tests.factories import Shop
from tests.portal.live.browser import session_of
from tests.rollouts.conftest import notices
from tests.rollouts.nursery import Nursery, nursery
from tests.rollouts.processes import database_url
from tests.soak import SOAKING, long, repeated

__all__ = ["notices"]

BROWSERS, EVENTS, DEATHS = (200, 400, 10) if SOAKING else (20, 60, 3)
GAP_SECONDS = 0.05
# A browser on its way back finds nobody for a while.
AGAIN_SECONDS = 0.2
END_SECONDS = 120.0
CUT = (ConnectionClosed, InvalidHandshake, InvalidMessage, OSError, TimeoutError)


@dataclass
class Browser:
    """Follows a rollout, and comes back when it is cut off."""

    address: str
    key: str
    topic: str
    seen: list[int] = field(default_factory=list)
    cuts: int = 0

    async def follow(self, until: int) -> None:
        """Read on until the event of that number."""
        while not self.seen or self.seen[-1] < until:
            try:
                await self._read(until)
            except CUT:
                self.cuts += 1
                await asyncio.sleep(AGAIN_SECONDS)

    async def _read(self, until: int) -> None:
        cookie = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={self.key}"}
        origin = f"http://{self.address}"
        async with connect(
            f"ws://{self.address}/ws/live",
            origin=origin,  # type: ignore[arg-type]
            additional_headers=cookie,
        ) as socket:
            after = self.seen[-1] if self.seen else 0
            await socket.send(json.dumps({"subscribe": self.topic, "after": after}))
            while not self.seen or self.seen[-1] < until:
                frame = json.loads(await asyncio.wait_for(socket.recv(), END_SECONDS))
                self.seen += [event["id"] for event in frame["events"]]


@pytest.fixture
def web(transactional_db: None, notices: Rollout, tmp_path: Path) -> Iterator[tuple[Nursery, str]]:
    """Where web processes are born, and the address that they serve."""
    port = free_port()
    env = {"DATABASE_URL": database_url(), "PORT": str(port), "PUBLIC_URL": f"http://127.0.0.1:{port}"}
    with nursery(tmp_path / "roles.log", **env) as made:
        yield made, f"127.0.0.1:{port}"


def write(topic: str) -> None:
    """Publish as a worker would, each event in its own transaction."""
    gap = threading.Event()
    for number in range(1, EVENTS + 1):
        with transaction.atomic():
            publish(topic, "rollout.observed", {"n": number})
        gap.wait(GAP_SECONDS)
    connections.close_all()


@long
@repeated
def test_browsers_miss_and_double_nothing_while_web_processes_die(
    web: tuple[Nursery, str], shop: Shop, notices: Rollout
) -> None:
    nursery, address = web
    key = session_of(shop.cast.author)
    browsers = [Browser(address, key, notices.topic) for _ in range(BROWSERS)]

    async def watch() -> None:
        following = asyncio.gather(*(browser.follow(EVENTS) for browser in browsers))
        pid = await asyncio.to_thread(nursery.birth, "web")
        writing = asyncio.create_task(asyncio.to_thread(write, notices.topic))
        for death in range(1, DEATHS + 1):
            while min(len(browser.seen) for browser in browsers) < death * EVENTS // (DEATHS + 2):
                await asyncio.sleep(GAP_SECONDS)
            await asyncio.to_thread(nursery.kill, pid)
            pid = await asyncio.to_thread(nursery.birth, "web")
        await asyncio.wait_for(following, END_SECONDS)
        await writing

    asyncio.run(watch())
    assert all(browser.seen == list(range(1, EVENTS + 1)) for browser in browsers)
    assert all(browser.cuts >= DEATHS for browser in browsers)
