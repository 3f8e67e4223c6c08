"""The writing side of the socket benchmark: a process that takes commands and answers in JSON lines."""

import json
import sys
import time
from typing import Any

import django
import redis
from django.conf import settings

django.setup()

from django.db import transaction  # noqa: E402  models need settings
from django.test import Client  # noqa: E402

from portal.live.publish import publish  # noqa: E402
from portal.people.models import User  # noqa: E402


def sessions() -> list[str]:
    """Sign everybody in; the keys of their sessions."""
    keys = []
    for user in User.objects.filter(is_active=True):
        client = Client()
        client.force_login(user)
        keys.append(client.cookies[settings.SESSION_COOKIE_NAME].value)
    return keys


def events(topic: str, count: int, gap: float) -> dict[int, float]:
    """Publish events, each in its own transaction: number and moment of the commit."""
    moments: dict[int, float] = {}
    for _each in range(count):
        with transaction.atomic():
            transaction.on_commit(lambda: moments.update({0: time.time()}))  # before the bell is rung
            number = publish(topic, "changed", {}).number
        moments[number] = moments.pop(0)
        time.sleep(gap)
    return moments


def at_once(topic: str, count: int) -> dict[int, float]:
    """Publish events in one transaction."""
    with transaction.atomic():
        numbers = [publish(topic, "changed", {}).number for _each in range(count)]
    return dict.fromkeys(numbers, time.time())


def raw(channel: str, first: int, count: int, gap: float) -> dict[int, float]:
    """Publish messages to Redis: number and moment of asking."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    moments = {}
    for number in range(first, first + count):
        moments[number] = time.time()
        client.publish(channel, f"raw-{number}.")
        time.sleep(gap)
    return moments


COMMANDS: dict[str, Any] = {"sessions": sessions, "events": events, "at_once": at_once, "raw": raw}

if __name__ == "__main__":
    for line in sys.stdin:
        name, *words = json.loads(line)
        print(json.dumps(COMMANDS[name](*words)), flush=True)
