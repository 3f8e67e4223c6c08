"""What every page's header says: how much waits for me and how much is wrong."""

from collections.abc import Callable

from django.http import HttpRequest

Counts = dict[str, int]
# Filled by the app that knows the rows; the ground cannot import it.
COUNTERS: list[Callable[[object], Counts]] = []


def counts(request: HttpRequest) -> Counts:
    """Context processor: `waiting_count` and `trouble_count` of the signed-in person."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"waiting_count": 0, "trouble_count": 0}
    total = {"waiting_count": 0, "trouble_count": 0}
    for counter in COUNTERS:
        total.update(counter(user))
    return total
