"""Reading streams, and who sits behind a session."""

from collections.abc import Collection

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import close_old_connections
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from portal.live.models import Event, Topic
from portal.live.topics import stream_of
from portal.people.models import User


def events_after(stream: str, after: int, *, limit: int) -> list[Event]:
    """The events of a stream with higher numbers, in order."""
    close_old_connections()
    found = Event.objects.filter(topic=stream, number__gt=after).order_by("number")
    return list(found[:limit])


def last_numbers(streams: Collection[str]) -> dict[str, int]:
    """The highest number of each stream that exists."""
    close_old_connections()
    return dict(Topic.objects.filter(name__in=streams).values_list("name", "last"))


def people_behind(session_keys: Collection[str]) -> dict[str, User]:
    """The active people of the sessions that are still good, read afresh from the store."""
    close_old_connections()
    # The session's expiry is written by web hosts, so theirs is the clock to compare with.
    stored = Session.objects.filter(session_key__in=session_keys, expire_date__gt=timezone.now())
    contents = {session.session_key: session.get_decoded() for session in stored}
    wanted = {str(content.get(SESSION_KEY, "")) for content in contents.values()}
    numbers = [int(number) for number in wanted if number.isdecimal()]
    people = {str(user.pk): user for user in User.objects.filter(pk__in=numbers, is_active=True)}
    found = {key: people.get(str(content.get(SESSION_KEY))) for key, content in contents.items()}
    return {key: user for key, user in found.items() if user and _holds(contents[key], user)}


def stream_for_session(session_key: str, topic: str) -> str | None:
    """The stream that the person behind a session may read under this topic, or None."""
    user = people_behind([session_key]).get(session_key)
    return stream_of(user, topic) if user else None


def allowed_streams(pairs: Collection[tuple[User, str]]) -> dict[tuple[int, str], str | None]:
    """For each person and topic: the stream they may read now, or None."""
    close_old_connections()
    return {(user.pk, topic): stream_of(user, topic) for user, topic in pairs}


def _holds(content: dict[str, object], user: User) -> bool:
    if content.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return False
    return constant_time_compare(str(content.get(HASH_SESSION_KEY, "")), user.get_session_auth_hash())
