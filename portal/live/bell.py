"""Telling the hubs over Redis that a stream grew: a nudge, never the truth.

Plain publish and subscribe: a channel layer would open a connection and a loop for each event of a worker.
"""

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import cache

import redis
import redis.asyncio
from django.conf import settings
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)
CHANNEL = "portal.live"
TIMEOUT_SECONDS = 1.0
REST_SECONDS = 2.0
_resting_until = [0.0]


def ring(stream: str) -> None:
    """Say that a stream grew; a Redis out of reach costs a second, never an event."""
    if time.monotonic() < _resting_until[0]:
        return
    try:
        _client().publish(CHANNEL, stream)
    except (RedisError, OSError) as error:
        _resting_until[0] = time.monotonic() + REST_SECONDS
        logger.warning("live hubs out of reach, they will look by themselves: %s", error)


async def heard() -> AsyncGenerator[str, None]:
    """The streams that grow, as they are rung; ends when Redis is lost."""
    client = redis.asyncio.Redis.from_url(settings.REDIS_URL)
    try:
        with suppress(RedisError, OSError):
            async with client.pubsub() as listener:
                await listener.subscribe(CHANNEL)
                async for message in listener.listen():
                    if message["type"] == "message":
                        yield message["data"].decode()
    finally:
        await client.aclose()


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
    )
