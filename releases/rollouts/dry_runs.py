"""How many dry runs that start Helm go on at once in a web process: its other pages need the machine as well.

Whoever may see a release may look what it would do, and each look starts programs that take up to half a
minute. One person has one of them at once, all people together have some.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.utils.translation import gettext_lazy as _

from portal.errors import TemporaryError
from portal.people.models import User
from portal.sentences import Text
from releases.rollouts.graph import Node

MOST_AT_ONCE = 2
RETRY_SECONDS = 10.0
BUSY = "busy"
STARTS_HELM = "helm_"
_looking: set[int] = set()
_guard = threading.Lock()


def starts_helm(nodes: Iterable[Node]) -> bool:
    """Whether a dry run of these steps starts Helm."""
    return any(node.kind.startswith(STARTS_HELM) for node in nodes)


@contextmanager
def one_of_few(user: User) -> Iterator[None]:
    """Let a person's dry run go on in this process, one of a few.

    Raises:
        TemporaryError: with code "busy"; another one of theirs goes on, or enough of others.
    """
    with _guard:
        if user.pk in _looking:
            raise _busy(_("Your last dry run with Helm still goes on. Look again when it is over."))
        if len(_looking) >= MOST_AT_ONCE:
            raise _busy(_("Others have Helm look what a release would do. Look again in a moment."))
        _looking.add(user.pk)
    try:
        yield
    finally:
        with _guard:
            _looking.discard(user.pk)


def _busy(text: Text) -> TemporaryError:
    return TemporaryError(text, code=BUSY, retry_in=RETRY_SECONDS)
