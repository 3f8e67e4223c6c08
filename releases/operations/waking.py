"""Waking the rollout that waits for people: whatever may end its wait says so, and nobody need ask."""

from django.db.models import F

from portal import clock
from portal.jobs import enqueue
from releases.models import Release
from releases.states import ReleaseState


def wake(release: Release) -> None:
    """Let the rollout that waits for the sign-off of this locked release look again at once.

    The row says so as well, so that the sweep finds a nudge that got lost, and whoever looks just now and is
    about to say when to look again counts it.
    """
    waiting = release.rollouts.filter(state=ReleaseState.AWAITING_SIGNOFF)
    for rollout in waiting:
        waiting.filter(pk=rollout.pk).update(wake_at=clock.now(), nudges=F("nudges") + 1)
        enqueue("releases.rollouts.jobs.advance", rollout.pk)
