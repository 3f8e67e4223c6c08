"""Which of two events is the older one, by what they say of themselves and never by when they came.

An event may come late: its system tried again, or was away. What it says for certain is when it happened
(GitHub of each push, and whoever sends the portal's own shape with a time), the version of a tag, and the
commit that a push of a branch came on top of. Where none of it tells, what comes later counts as newer.
"""

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from portal import clock
from portal.integrations.hooks.events import TAG
from portal.integrations.registry.client import version_order
from portal.sentences import Text, sentence
from releases.catalog.models import Environment
from releases.pipeline.models import Arrival, Delivery
from releases.pipeline.states import ArrivalState
from releases.states import PENDING

VERSION = re.compile(
    r"(?P<before>(?:.*[^0-9.])?)(?P<version>(?P<numbers>\d+(?:\.\d+)+)(?P<more>(?:[-+].*)?))"
)
CANDIDATE = re.compile(r"-(?:alpha|beta|rc|pre|snapshot)", re.IGNORECASE)
EARLIEST, AHEAD = datetime(2000, 1, 1, tzinfo=UTC), timedelta(minutes=5)
# What comes later than that is as good as new.
LATE_AT_MOST = timedelta(days=7)
WAITS = _("{this} came late: {other} waits here already and is newer, as {why}.")
WENT = _("{this} came late: {other} has begun to go out here already and is newer, as {why}.")
BY_TIME = _("it happened later")
BY_VERSION = _("its version is higher")
BY_COMMIT = _("it was pushed on top of this")


def telling(at: datetime | None) -> datetime | None:
    """A time that tells an order: none from before there was CI, such as a zero, nor far ahead of now."""
    return at if at is not None and EARLIEST < at < clock.now() + AHEAD else None


def newer_there(delivery: Delivery, environment: Environment, services: Collection[str]) -> dict[str, Text]:
    """Return the services for which something newer is there, each with why it is not to be replaced."""
    waits = Q(state=ArrivalState.WAITING) | Q(release__state__in=PENDING)
    begun = Q(release__rollouts__isnull=False, delivery__received_at__gte=clock.now() - LATE_AT_MOST)
    found = Arrival.objects.filter(waits | begun, environment=environment).distinct()
    late: dict[str, Text] = {}
    for each in found.select_related("delivery", "release").order_by("pk"):
        shared = set(each.services) & set(services)
        has_left = each.state != ArrivalState.WAITING
        is_begun = has_left and each.release is not None and each.release.state not in PENDING
        why = newer_by(delivery, each.delivery) if shared else ""
        # A fix of an older line goes out over a higher version.
        if why and not (is_begun and why is BY_VERSION):
            said = sentence(
                WENT if is_begun else WAITS, this=_called(delivery), other=_called(each.delivery), why=why
            )
            late |= dict.fromkeys(shared, said)
    return late


def newer_by(this: Delivery, other: Delivery) -> Text:
    """By what the other one is newer; "" where it is not, or nobody can tell."""
    mine, its = this.event, other.event
    if (mine["repository"], mine["kind"]) != (its["repository"], its["kind"]):
        return ""
    if this.happened_at and other.happened_at and this.happened_at != other.happened_at:
        return BY_TIME if this.happened_at < other.happened_at else ""
    if mine["kind"] == TAG:
        return BY_VERSION if _is_lower(mine["ref"], its["ref"]) else ""
    # A branch that was set back came on top as well: then each follows the other, and that tells nothing.
    on_top = other.before == mine["commit"] != its["commit"] != this.before
    return BY_COMMIT if on_top and mine["ref"] == its["ref"] else ""


def _is_lower(tag: str, other: str) -> bool:
    """Whether both are versions of the same thing, and this is certainly the lower one.

    What stands behind the numbers tells where it names candidates (Semantic Versioning 2.0.0, 11); a fix or a
    build after a release may be called anything.
    """
    mine, its = VERSION.fullmatch(tag), VERSION.fullmatch(other)
    if mine is None or its is None or mine["before"] != its["before"]:
        return False
    lower, higher = _numbers(mine["numbers"]), _numbers(its["numbers"])
    if lower != higher:
        return lower < higher
    told = CANDIDATE.match(mine["more"]) and (not its["more"] or CANDIDATE.match(its["more"]))
    return bool(told) and version_order(mine["version"]) < version_order(its["version"])


def _numbers(version: str) -> list[int]:
    """The numbers of a version; 1.4 and 1.4.0 are the same one."""
    found = [int(each[:18]) for each in version.split(".")]
    while found and not found[-1]:
        found.pop()
    return found


def _called(delivery: Delivery) -> str:
    return f"{delivery.event['ref']} ({delivery.event['commit'][:8]})"
