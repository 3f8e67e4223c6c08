"""Telling the hubs over Redis that a stream grew: a nudge, never the truth.

Plain publish and subscribe: a channel layer would open a connection and a loop for each event of a worker.
"""

import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress

import redis.asyncio
from django.conf import settings
from redis.exceptions import RedisError

from portal import impatient

logger = logging.getLogger(__name__)
CHANNEL = "portal.live"
_redis_rests = impatient.Rest()


def ring(streams: Iterable[str]) -> None:
    """Say that streams grew, in one call; a Redis out of reach costs a second, never an event."""
    if _redis_rests:
        return
    try:
        with impatient.client(settings.REDIS_URL).pipeline(transaction=False) as told:
            for stream in streams:
                told.publish(CHANNEL, stream)
            told.execute()
    except impatient.AWAY as error:
        _redis_rests.begin()
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
