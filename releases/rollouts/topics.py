"""What of rollouts can be watched live, and in which words."""

from collections.abc import Collection

from portal import access
from portal.live import texts as live_texts
from portal.live import topics
from portal.people.models import User
from releases.catalog.models import Environment
from releases.rollouts import texts
from releases.rollouts.models import Rollout


def readers_of_rollout(users: Collection[User], key: str) -> list[User]:
    """Those of the people who may see the rollout now."""
    if not (key.isascii() and key.isdigit() and len(key) < 19):
        return []
    return access.who_sees(users, Rollout, pk=int(key))


def readers_of_board(users: Collection[User], key: str) -> list[User]:
    """Those of the people who may see the environment now."""
    return access.who_sees(users, Environment, name=key)


topics.register("rollout", readers_of_rollout)
topics.register("board", readers_of_board)
live_texts.register(texts.registered())
