"""A Redis client for those who may not wait: a person's click, the engine, the sweeper.

What they tell Redis is a nudge or a ring that is found again without it. A server that hangs costs one of
them a second, and then the whole process nothing for a while (attacks.md, section 4: F5).
"""

import time
from functools import cache

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

ANSWER_SECONDS = 1.0
REST_SECONDS = 2.0
AWAY = (RedisError, OSError)


class Rest:
    """Whether Redis is left alone for a moment, because it did not answer just now."""

    def __init__(self) -> None:
        self._until = 0.0

    def __bool__(self) -> bool:
        return time.monotonic() < self._until

    def begin(self) -> None:
        """Leave it alone from now on."""
        self._until = time.monotonic() + REST_SECONDS


@cache
def client(url: str) -> Redis:
    """Return the client of this process; it asks once, where the library would ask again and again."""
    return Redis.from_url(
        url,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
