"""Reading streams, and who sits behind a session."""

from collections.abc import Collection, Mapping
from functools import lru_cache

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from portal.live.models import Event, Topic
from portal.live.topics import streams_of
from portal.people.models import User


def events_after(stream: str, after: int, *, limit: int) -> list[Event]:
    """The events of a stream with higher numbers, in order."""
    found = Event.objects.filter(topic=stream, number__gt=after).order_by("number")
    return list(found[:limit])


def last_numbers(streams: Collection[str]) -> dict[str, int]:
    """The highest number of each stream that exists."""
    return dict(Topic.objects.filter(name__in=streams).values_list("name", "last"))


def people_behind(session_keys: Collection[str]) -> dict[str, User]:
    """The active people of the sessions that are still good, read afresh from the store."""
    # The session's expiry is written by web hosts, so theirs is the clock to compare with.
    stored = Session.objects.filter(session_key__in=session_keys, expire_date__gt=timezone.now())
    contents = {key: _decoded(data) for key, data in stored.values_list("session_key", "session_data")}
    wanted = {str(content.get(SESSION_KEY, "")) for content in contents.values()}
    numbers = [int(number) for number in wanted if number.isdecimal()]
    people = {str(user.pk): user for user in User.objects.filter(pk__in=numbers, is_active=True)}
    hashes = {key: user.get_session_auth_hash() for key, user in people.items()}
    return {
        key: people[number]
        for key, content in contents.items()
        if (number := str(content.get(SESSION_KEY))) in people and _holds(content, hashes[number])
    }


def stream_for_session(session_key: str, topic: str) -> tuple[str, int] | None:
    """The stream, with its newest number, that the person behind a session may read under this topic."""
    user = people_behind([session_key]).get(session_key)
    stream = streams_of(topic, [user]).get(user.pk) if user else None
    return (stream, last_numbers([stream]).get(stream, 0)) if stream else None


def allowed_streams(wanted: Mapping[str, Collection[User]]) -> dict[str, dict[int, str]]:
    """For each topic and by person: the streams that may be read now; a few queries for each topic."""
    return {topic: streams_of(topic, users) for topic, users in wanted.items()}


@lru_cache(maxsize=10_000)
def _decoded(data: str) -> Mapping[str, object]:
    """What a stored session holds; the same text always says the same, so its signature is checked once."""
    content: Mapping[str, object] = SessionStore().decode(data)
    return content


def _holds(content: Mapping[str, object], expected: str) -> bool:
    if content.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return False
    return constant_time_compare(str(content.get(HASH_SESSION_KEY, "")), expected)
