"""A place in the line and its end: recorded, told to those who wait, and never taken twice."""

from portal import clock
from portal.actors import Actor
from portal.live.publish import touch
from portal.sentences import Text, kept
from portal.transitions import move
from releases.models import Release
from releases.rollouts.models import QueuePlace
from releases.rollouts.states import PlaceState


def locked(place_id: int) -> QueuePlace:
    """Return a place under lock; its release's row is locked before it."""
    rows = QueuePlace.objects.select_for_update(of=("self",))
    return rows.select_related("release", "environment", "asked_by").get(pk=place_id)


def end(place: QueuePlace, state: PlaceState, *, actor: Actor, reason: Text = "") -> None:
    """End a locked place, which waits; its rollout is kept with it."""
    place.ended_at, place.reason, place.why = clock.now(), str(reason), kept(reason)
    fields = ["ended_at", "reason", "why", "rollout"]
    topic, number = place.release.topic, place.release_id
    move(place, state, actor=actor, reason=reason, fields=fields, topic=topic, release=number)
    tell_line(place)


def tell_line(place: QueuePlace) -> None:
    """Let all who watch the environment, and those who wait there, read again."""
    touch(f"board.{place.environment.name}")


def leave(release: Release, *, actor: Actor, reason: Text) -> None:
    """Take a locked release out of the line, if it waits there: see `releases.turns`."""
    waiting = QueuePlace.objects.filter(release=release, state=PlaceState.QUEUED)
    for pk in waiting.values_list("pk", flat=True):
        end(locked(pk), PlaceState.CANCELLED, actor=actor, reason=reason)
