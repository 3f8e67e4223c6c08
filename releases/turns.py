"""Places in the line of the layer above: who is given a time instead waits there no more."""

from typing import Protocol

from portal.actors import Actor
from portal.sentences import Text
from releases.models import Release


class Leave(Protocol):
    """Takes a locked release out of its line, where it has a place there."""

    def __call__(self, release: Release, *, actor: Actor, reason: Text) -> None:
        """End its place and record why."""


_LINES: list[Leave] = []


def register(leave: Leave) -> None:
    """Let the layer above hear of whoever leaves."""
    _LINES.append(leave)


def leave_line(release: Release, *, actor: Actor, reason: Text) -> None:
    """Give up the place of a locked release, if it has one."""
    for leave in _LINES:
        leave(release, actor=actor, reason=reason)
