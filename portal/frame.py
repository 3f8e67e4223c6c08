"""What every page's header says: how much waits for me and how much is wrong."""

from collections.abc import Callable
from functools import partial
from operator import getitem

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from portal.reader import Reader, reader_of

Counts = dict[str, int]
NONE: Counts = {"waiting_count": 0, "trouble_count": 0}
# Filled by the app that knows the rows; the ground cannot import it.
COUNTERS: list[Callable[[Reader], Counts]] = []


def counts(request: HttpRequest) -> dict[str, object]:
    """Context processor: `waiting_count` and `trouble_count` of the signed-in person.

    Both are worked out together, and only where a template shows one: most pieces of pages have no header.
    """
    total = SimpleLazyObject(lambda: _total(reader_of(request)))
    return {name: SimpleLazyObject(partial(getitem, total, name)) for name in NONE}


def _total(reader: Reader | None) -> Counts:
    total = dict(NONE)
    if reader is not None:
        for counter in COUNTERS:
            for name, count in counter(reader).items():
                total[name] += count
    return total
