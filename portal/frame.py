"""What every page's header says: how much waits for me and how much is wrong."""

from collections.abc import Callable
from functools import partial
from operator import getitem

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

Counts = dict[str, int]
NONE: Counts = {"waiting_count": 0, "trouble_count": 0}
# Filled by the app that knows the rows; the ground cannot import it.
COUNTERS: list[Callable[[object], Counts]] = []


def counts(request: HttpRequest) -> dict[str, object]:
    """Context processor: `waiting_count` and `trouble_count` of the signed-in person.

    Both are worked out together, and only where a template shows one: most pieces of pages have no header.
    """
    user = getattr(request, "user", None)
    total = SimpleLazyObject(lambda: _total(user))
    return {name: SimpleLazyObject(partial(getitem, total, name)) for name in NONE}


def _total(user: object) -> Counts:
    total = dict(NONE)
    if getattr(user, "is_authenticated", False):
        for counter in COUNTERS:
            for name, count in counter(user).items():
                total[name] += count
    return total
