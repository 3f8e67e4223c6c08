"""Which of two events is the older one, by what they say of themselves and never by when they came.

An event may come late: its system tried again, or was away. What it says for certain is when it happened
(GitHub of each push, and whoever sends the portal's own shape with a time), the version of a tag, and the
commit that a push of a branch came on top of. Where none of it tells, what comes later counts as newer.
"""

import re
from collections.abc import Collection

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from portal.integrations.hooks.events import TAG
from portal.integrations.registry.client import version_order
from portal.sentences import Text, sentence
from releases.catalog.models import Environment
from releases.pipeline.models import Arrival, Delivery
from releases.pipeline.states import ArrivalState
from releases.states import PENDING

VERSION = re.compile(r"(?P<before>(?:.*[^0-9.])?)(?P<version>\d+(?:\.\d+)+(?:[-+].*)?)")
BY_TIME = _("it happened later")
BY_VERSION = _("its version is higher")
BY_COMMIT = _("it was pushed on top of this")


def set_aside(delivery: Delivery, environment: Environment, services: Collection[str]) -> Text:
    """Return why an event must not replace what waits for these services there; "" where it may."""
    waits = Q(state=ArrivalState.WAITING) | Q(release__state__in=PENDING)
    found = Arrival.objects.filter(waits, environment=environment).select_related("delivery")
    for each in found.order_by("-pk"):
        why = _newer_by(delivery, each.delivery) if set(each.services) <= set(services) else ""
        if why:
            text = _("{this} came late: {other} waits here already and is newer, as {why}.")
            return sentence(text, this=_called(delivery), other=_called(each.delivery), why=why)
    return ""


def _newer_by(this: Delivery, other: Delivery) -> Text:
    """By what the other one is newer; "" where it is not, or nobody can tell."""
    mine, its = this.event, other.event
    if (mine["repository"], mine["kind"]) != (its["repository"], its["kind"]):
        return ""
    if this.happened_at and other.happened_at and this.happened_at != other.happened_at:
        return BY_TIME if this.happened_at < other.happened_at else ""
    if mine["kind"] == TAG:
        return BY_VERSION if _is_lower(mine["ref"], its["ref"]) else ""
    on_top = mine["ref"] == its["ref"] and other.before == mine["commit"] != its["commit"]
    return BY_COMMIT if on_top else ""


def _is_lower(tag: str, other: str) -> bool:
    """Whether both are versions of the same thing, and this is the lower one."""
    mine, its = VERSION.fullmatch(tag), VERSION.fullmatch(other)
    if mine is None or its is None or mine["before"] != its["before"]:
        return False
    return version_order(mine["version"]) < version_order(its["version"])


def _called(delivery: Delivery) -> str:
    return f"{delivery.event['ref']} ({delivery.event['commit'][:8]})"
