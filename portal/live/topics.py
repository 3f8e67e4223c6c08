"""What can be watched, and by whom: each app registers its kinds of topics with their check."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from portal.people.models import User

FORM = re.compile(r"(?P<prefix>[a-z]+)(?:\.(?P<key>[A-Za-z0-9][A-Za-z0-9._-]{0,99}))?")
Readers = Callable[[Collection[User], str], Collection[User]]
Resolve = Callable[[User, str], str]


@dataclass(frozen=True)
class Kind:
    """A kind of topic; `resolve` names the stream where it is not the topic's own name."""

    readers: Readers
    resolve: Resolve | None = None


KINDS: dict[str, Kind] = {}


def register(prefix: str, readers: Readers, resolve: Resolve | None = None) -> None:
    """Let topics "PREFIX.KEY" be watched by those people whom `readers(people, key)` leaves.

    Args:
        readers: asked at subscription and again while sockets are open, for all their people at once; gets
            fresh, active users each time.
        resolve: from user and key to the stream's name, such as "inbox.12" for "inbox".
    """
    KINDS[prefix] = Kind(readers, resolve)


def streams_of(topic: str, users: Collection[User]) -> dict[int, str]:
    """By person, the stream they read under this topic; absent: not there and not allowed look the same."""
    match = FORM.fullmatch(topic)
    kind = KINDS.get(match["prefix"]) if match else None
    if match is None or kind is None:
        return {}
    key = match["key"] or ""
    readers = kind.readers([user for user in users if user.is_active], key)
    return {user.pk: kind.resolve(user, key) if kind.resolve else topic for user in readers}
