"""What of rollouts can be watched live, and in which words."""

from portal import access
from portal.live import texts as live_texts
from portal.live import topics
from portal.people.models import User
from releases.catalog.models import Environment
from releases.rollouts import texts
from releases.rollouts.models import Rollout


def may_watch_rollout(user: User, key: str) -> bool:
    """Whether the person may see the rollout now."""
    return key.isascii() and key.isdigit() and access.visible(user, Rollout).filter(pk=int(key)).exists()


def may_watch_board(user: User, key: str) -> bool:
    """Whether the person may see the environment now."""
    return access.visible(user, Environment).filter(name=key).exists()


topics.register("rollout", may_watch_rollout)
topics.register("board", may_watch_board)
live_texts.register(texts.registered())
