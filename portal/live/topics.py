"""What can be watched, and by whom: each app registers its kinds of topics with their check."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from portal.people.models import User

FORM = re.compile(r"(?P<prefix>[a-z]+)(?:\.(?P<key>[A-Za-z0-9][A-Za-z0-9._-]{0,99}))?")
Check = Callable[[User, str], bool]
Resolve = Callable[[User, str], str]


@dataclass(frozen=True)
class Kind:
    """A kind of topic; `resolve` names the stream where it is not the topic's own name."""

    check: Check
    resolve: Resolve | None = None


KINDS: dict[str, Kind] = {}


def register(prefix: str, check: Check, resolve: Resolve | None = None) -> None:
    """Let topics "PREFIX.KEY" be watched by those of whom `check(user, key)` says so.

    Args:
        check: asked at subscription and again while the socket is open; gets a fresh user each time.
        resolve: from user and key to the stream's name, such as "inbox.12" for "inbox".
    """
    KINDS[prefix] = Kind(check, resolve)


def stream_of(user: User, topic: str) -> str | None:
    """The stream a person reads under this topic, or None: not there and not allowed look the same."""
    match = FORM.fullmatch(topic)
    kind = KINDS.get(match["prefix"]) if match else None
    if match is None or kind is None:
        return None
    key = match["key"] or ""
    if not user.is_active or not kind.check(user, key):
        return None
    return kind.resolve(user, key) if kind.resolve else topic
