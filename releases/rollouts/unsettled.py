"""Rollouts that did not end well: where one left its services nothing else begins by itself.

Somebody settles it first: it is retried and succeeds, it is rolled back, its release is closed, or a person
starts another version of its services, on what it left; a restart leaves it as it stands. Where nothing is
protected the next one goes on: there it is what mends.
"""

from collections.abc import Collection, Iterable

from django.db.models import Max, Q
from django.utils.translation import gettext_lazy as _

from portal.sentences import Text, sentence
from releases.catalog.models import Environment
from releases.models import Release
from releases.rollouts.models import Rollout
from releases.rollouts.states import LEFT, RolloutState
from releases.states import SETTLED


def in_the_way(
    environment: Environment, *, services: Collection[int], moving: Iterable[Rollout] = ()
) -> dict[int, Rollout]:
    """Return by service the newest rollout of it there, where that did not end well and nobody settled it.

    An operation that went well since has settled nothing: the version stands half-way as before.

    Args:
        services: their keys; of others nothing is asked.
        moving: those that go on, or were told to.
    """
    if not environment.protected or not services:
        return {}
    found = Rollout.objects.filter(environment=environment, release__items__service__in=services)
    newest = found.values_list("release__items__service").annotate(
        newest=Max("pk"), version=Max("pk", filter=Q(release__operation={}))
    )
    last = [(service, pk) for service, *both in newest for pk in sorted(filter(None, both))]
    left = Rollout.objects.filter(state__in=LEFT).exclude(release__state__in=SETTLED)
    rows = left.exclude(pk__in=[each.pk for each in moving]).in_bulk({pk for _service, pk in last})
    return {service: rows[pk] for service, pk in last if pk in rows}


def of_release(release: Release) -> list[Rollout]:
    """Those that are in the way of a release, the oldest first."""
    services = set(release.items.values_list("service", flat=True))
    found = in_the_way(release.environment, services=services).values()
    return sorted(set(found), key=lambda each: each.pk)


def text_of(rollout: Rollout) -> Text:
    """Say which one, and what there is to do."""
    if rollout.state == RolloutState.STOPPED:
        text = _("rollout {number}, which was stopped: roll it back, close its release, or start by hand")
    else:
        text = _(
            "rollout {number}, which did not end well: retry it, roll it back, close its release, "
            "or start by hand"
        )
    return sentence(text, number=rollout.pk)
