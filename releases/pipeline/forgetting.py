"""Forgetting CI events of long ago; what they were and came to stays in the record and with releases."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from releases.catalog.models import ConnectionKind
from releases.pipeline.models import Arrival, Delivery
from releases.pipeline.states import ArrivalState

# More are left to the next sweep.
MOST_AT_ONCE = 1000
# Its signature names no time: only the id that stays keeps an old event from being taken for a new one.
TIMELESS = ConnectionKind.GITHUB


def forget_old(days: int, *, actor: Actor) -> int:
    """Remove the events of so many days ago that came to an end everywhere; returns of how many deliveries.

    Args:
        days: how long they are kept; 0 keeps them all.
    """
    if days < 1:
        return 0
    before = clock.now() - timedelta(days=days)
    with transaction.atomic():
        keys = _old(before)
        if keys:
            _forget(keys)
            record(
                "delivery.forgotten",
                actor=actor,
                subject=("delivery", str(keys[-1])),
                after={
                    "deliveries": len(keys),
                    "first": keys[0],
                    "last": keys[-1],
                    "received_before": before.isoformat(),
                },
            )
    return len(keys)


def _old(before: datetime) -> list[int]:
    forgotten = Q(connection__kind=TIMELESS, event={})
    waiting = Arrival.objects.filter(state=ArrivalState.WAITING)
    found = Delivery.objects.filter(received_at__lt=before).exclude(forgotten)
    found = found.exclude(pk__in=waiting.values("delivery")).select_for_update(of=("self",), skip_locked=True)
    return list(found.order_by("pk").values_list("pk", flat=True)[:MOST_AT_ONCE])


def _forget(keys: list[int]) -> None:
    Arrival.objects.filter(delivery__in=keys).delete()
    found = Delivery.objects.filter(pk__in=keys)
    found.filter(connection__kind=TIMELESS).update(event={})
    found.exclude(connection__kind=TIMELESS).delete()
