"""Orders that ask for what is so already, as the second of two people who press at nearly once does.

Such an order is no mistake of who gives it: it is written down as any other, and told who asked first.
"""

from django.db.models import Q
from django.utils.translation import gettext as _

from releases.rollouts.models import Order, Rollout
from releases.rollouts.states import HONOURED, REFUSED, Direction, OrderKind, RolloutState

R = RolloutState
SO_IN: dict[str, frozenset[str]] = {
    OrderKind.PAUSE: frozenset({R.PAUSED}),
    OrderKind.STOP: frozenset({R.STOPPED}),
    OrderKind.ROLLBACK: frozenset({R.ROLLING_BACK, R.ROLLED_BACK}),
}
# A stop on the way back is a pause.
HOLDS = frozenset({OrderKind.PAUSE, OrderKind.STOP})
ASKED_FOR = frozenset({"person", "stop"})


def is_so(rollout: Rollout, kind: str, *, way: Direction) -> bool:
    """Whether the rollout stands already as an order of this kind would have it stand."""
    if kind == OrderKind.STOP and way == Direction.BACK and rollout.state == R.PAUSED:
        return True
    return rollout.state in SO_IN.get(kind, frozenset())


def first_of(rollout: Rollout, kind: str) -> Order | None:
    """Return the order by which it came to stand as `is_so` says; None where no person asked."""
    kinds = {kind}
    if rollout.state == R.PAUSED:
        if (rollout.pause or {}).get("reason") not in ASKED_FOR:
            return None
        kinds = set(HOLDS)
    given = rollout.orders.filter(kind__in=kinds, outcome=HONOURED, by__isnull=False)
    return given.select_related("by").order_by("pk").last()


def repeated_by(order: Order) -> Order | None:
    """Return the order of a person that this one, just given, repeats: it has been carried out, or waits."""
    earlier = order.rollout.orders.filter(kind=order.kind, step=order.step, pk__lt=order.pk, by__isnull=False)
    waits = Q(honoured_at=None) | Q(honoured_at__gte=order.asked_at)
    given = earlier.filter(waits).exclude(outcome__startswith=REFUSED)
    found = given.select_related("by").order_by("pk").first()
    if found is not None:
        return found
    so = is_so(order.rollout, order.kind, way=way_of(order.rollout))
    return first_of(order.rollout, order.kind) if so else None


def way_of(rollout: Rollout) -> Direction:
    """Back as soon as there are steps of a way back."""
    back = rollout.steps.filter(direction=Direction.BACK).exists()
    return Direction.BACK if back else Direction.FORWARD


def told(first: Order | None) -> str:
    """Return that something is so, or is asked for already, and by whom; None where no person asked."""
    if first is None or first.by is None:
        return _("It is so already.")
    return _("{person} has asked for this already.").format(person=first.by.get_full_name())
