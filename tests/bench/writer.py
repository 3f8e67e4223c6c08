"""The writing side of the socket benchmark: a process that takes commands and answers in JSON lines."""

import json
import sys
import time
from itertools import cycle
from typing import Any

import django
import redis
from django.conf import settings

django.setup()

from django.contrib.sessions.models import Session  # noqa: E402  models need settings
from django.db import transaction  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils.crypto import get_random_string  # noqa: E402

from portal.live.publish import publish_now  # noqa: E402
from portal.people.models import User  # noqa: E402


def sessions(count: int) -> list[str]:
    """Sign everybody in, again and again in other browsers; the keys of so many sessions."""
    signed_in = []
    for user in User.objects.filter(is_active=True):
        client = Client()
        client.force_login(user)
        signed_in.append(Session.objects.get(session_key=client.cookies[settings.SESSION_COOKIE_NAME].value))
    copies = [_copy(session) for _number, session in zip(range(count), cycle(signed_in), strict=False)]
    Session.objects.bulk_create(copies)
    return [copy.session_key for copy in copies]


def _copy(session: Session) -> Session:
    key = get_random_string(32)
    return Session(session_key=key, session_data=session.session_data, expire_date=session.expire_date)


def events(topic: str, count: int, gap: float) -> dict[int, float]:
    """Publish events, each in its own transaction: number and moment of the commit."""
    moments: dict[int, float] = {}
    for _each in range(count):
        with transaction.atomic():
            transaction.on_commit(lambda: moments.update({0: time.time()}))  # before the bell is rung
            number = publish_now(topic, "changed", {})
        moments[number] = moments.pop(0)
        time.sleep(gap)
    return moments


def at_once(topic: str, count: int) -> dict[int, float]:
    """Publish events in one transaction."""
    with transaction.atomic():
        numbers = [publish_now(topic, "changed", {}) for _each in range(count)]
    return dict.fromkeys(numbers, time.time())


def raw(channel: str, first: int, count: int, gap: float, size: int) -> dict[int, float]:
    """Publish messages of so many characters to Redis: number and moment of asking."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    moments = {}
    for number in range(first, first + count):
        moments[number] = time.time()
        client.publish(channel, f"raw-{number}.".ljust(size, "-"))
        time.sleep(gap)
    return moments


COMMANDS: dict[str, Any] = {"sessions": sessions, "events": events, "at_once": at_once, "raw": raw}

if __name__ == "__main__":
    for line in sys.stdin:
        name, *words = json.loads(line)
        print(json.dumps(COMMANDS[name](*words)), flush=True)
