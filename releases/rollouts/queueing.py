"""Starting where others may be in the way: at once, or by a place in the line that begins by itself.

When its turn comes every rule is asked again, as by a press of the button; where one says no, the place is
given back with the reason. What an event asked for, and the calendar alone holds, is planned into the next
opening, as it would have been at once. Behind a rollout that did not end well it stays in the line until that
is settled or a person starts it. Rows alone carry the line: Redis may be lost at any moment.
"""

import logging
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from portal import access, clock, trace
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import DATABASE_AWAY, Conflict, NotFound, PortalError
from portal.jobs import for_each
from portal.live.publish import publish
from portal.sentences import Text, joined, sentence
from portal.words import check_words
from releases import notices, openings, start
from releases.catalog.models import Environment
from releases.models import Release
from releases.operating import is_restore
from releases.operations.locking import act, require_scope, require_state
from releases.operations.moving import move_release
from releases.operations.schedule import NEXT, require_due, schedule_release
from releases.rollouts import line, operations, pins, places, unsettled
from releases.rollouts.models import QueuePlace, Rollout
from releases.rollouts.states import PlaceState
from releases.rollouts.wordings import WAITS_TURN
from releases.states import ReleaseState

logger = logging.getLogger(__name__)

# The door through which the events of a CI system come.
EVENT = "hook"
# One that was given a time waits for that, and for no turn.
MAY_WAIT = start.STARTABLE - {ReleaseState.SCHEDULED}


def ask_start(
    number: int, *, actor: Actor, due: datetime | None = None, confirmed: str = ""
) -> Rollout | QueuePlace:
    """Start the rollout of a release, or let it wait for its turn where that is all that is in the way.

    Args:
        due: the time for which it was scheduled, where that is why it starts.
        confirmed: the service's name as the person typed it, where a database is restored.

    Raises:
        NotFound, NotAllowed, Conflict, Invalid: as for a start; waiting for others is no reason any more. A
            scheduled start is refused where another rollout of its services did not end well.
    """
    with act(number, actor=actor, refused="release.start_refused") as release:
        stand = line.stand_of(release)
        if due is not None:
            require_due(release, due)
            _require_settled(stand)
        if stand.is_due or (stand.is_free and not pins.is_automatic(actor)):
            return _begin(release, stand.place, actor=actor, confirmed=confirmed)
        if stand.place is not None:
            text = _("It waits in the queue already, at place {number}: {text}.")
            raise Conflict(sentence(text, number=stand.number, text=stand.text), code="queue")
        if is_restore(release):
            # It asks whoever starts it; when its turn came, nobody would be there.
            text = _("A restore does not wait in the queue. Start it once this is over: {text}.")
            raise Conflict(sentence(text, text=stand.text), code="queue")
        return _queue(release, stand, actor=actor)


def _require_settled(stand: line.Stand) -> None:
    """What has its time now does not begin later, when nobody thinks of it: its people are told."""
    if stand.unsettled:
        text = _("Nothing starts by itself behind {text}.")
        raise Conflict(
            sentence(text, text=joined([*map(unsettled.text_of, stand.unsettled)], between="; ")),
            code="queue",
        )


def leave(place_id: int, *, actor: Actor, reason: str = "") -> QueuePlace:
    """Take a start out of the line; the release stays approved.

    Raises:
        NotFound, NotAllowed.
        Conflict: its turn has come, or somebody was faster.
    """
    check_words(reason)
    found = QueuePlace.objects.filter(pk=place_id).first()
    if found is None or (actor.user and not access.allowed(actor.user, "view", found)):
        raise NotFound
    with act(found.release_id, actor=actor) as release:
        access.require(actor, "deploy", release.environment)
        require_scope(actor, "operate")
        place = places.locked(found.pk)
        if place.state != PlaceState.QUEUED:
            raise Conflict(sentence(_("It waits no more: {state}."), state=place.get_state_display()))
        places.end(place, PlaceState.CANCELLED, actor=actor, reason=reason)
    return place


def begin_due() -> None:
    """Begin every start whose turn has come."""
    waiting = QueuePlace.objects.filter(state=PlaceState.QUEUED).values("environment")
    for_each(Environment.objects.filter(pk__in=waiting).order_by("pk"), _begin_due_in)


def _begin_due_in(environment: Environment) -> None:
    # One that may never start keeps nobody waiting.
    due = [
        stand.place
        for stand in line.stands_in(environment)
        if stand.place and (stand.is_due or stand.place.release.state not in MAY_WAIT)
    ]
    for_each(due, _take_turn)


def _take_turn(place: QueuePlace) -> None:
    """Begin it, or give it back; also where the portal itself breaks off at it: others wait behind it."""
    actor = Actor(user=place.asked_by, door="worker", cause="queue")
    try:
        _begin_or_plan(place, actor=actor)
    except PortalError as error:
        gone = _("Who asked for it may not start it any more.")
        _give_back(place, reason=gone if isinstance(error, NotFound) else error.detail)
    except DATABASE_AWAY:
        raise
    except Exception:
        incident = trace.number()
        logger.exception("place %s broke off, incident %s", place.pk, incident)
        _give_back(place, reason=broke_off(incident))


def _begin_or_plan(place: QueuePlace, *, actor: Actor) -> None:
    try:
        with act(place.release_id, actor=actor, refused="release.start_refused") as release:
            locked = places.locked(place.pk)
            if locked.state != PlaceState.QUEUED:
                return
            require_state(release, MAY_WAIT)
            if line.stand_of(release).is_due:
                _begin(release, locked, actor=actor)
    except Conflict as error:
        if place.door != EVENT or not openings.close_alone(error):
            raise
        schedule_release(place.release_id, actor=actor, window=NEXT)


def broke_off(incident: str) -> Text:
    """Why the portal gives a start back that it could not carry out."""
    text = _("The portal failed at this start by a fault of its own (incident {incident}).")
    return sentence(text, incident=incident)


def _begin(release: Release, place: QueuePlace | None, *, actor: Actor, confirmed: str = "") -> Rollout:
    asked_at = place.asked_at if place is not None else None
    rollout = operations.begin(release, actor=actor, confirmed=confirmed, asked_at=asked_at)
    if place is not None:
        place.rollout = rollout
        places.end(place, PlaceState.BEGUN, actor=actor)
    return rollout


def _queue(release: Release, stand: line.Stand, *, actor: Actor) -> QueuePlace:
    """Give the release the last place, if it could start but for those before it."""
    pinned = pins.missing_for(release, actor=actor)
    start.require_startable(release, actor=actor, also=pinned)
    operations.graph_of(release)
    if release.state == ReleaseState.SCHEDULED:
        move_release(release, ReleaseState.APPROVED, actor=actor, reason=WAITS_TURN)
    place = QueuePlace.objects.create(
        release=release,
        environment=release.environment,
        asked_by=actor.user,
        asked_at=clock.now(),
        door=actor.door,
    )
    behind = {"rollouts": [each.pk for each in stand.behind], "releases": list(stand.after)}
    after = {"place": stand.number, **behind}
    subject = ("place", str(place.pk))
    record("place.queued", actor=actor, subject=subject, after=after, release=release.number)
    publish(release.topic, "place.queued", {"by": actor.name, **after})
    places.tell_line(place)
    return place


def _give_back(place: QueuePlace, *, reason: Text) -> None:
    with transaction.atomic():
        Environment.objects.select_for_update(no_key=True).get(pk=place.environment_id)
        release = Release.objects.select_for_update(of=("self",)).get(pk=place.release_id)
        locked = places.locked(place.pk)
        if locked.state != PlaceState.QUEUED:
            return
        places.end(locked, PlaceState.GIVEN_BACK, actor=Actor.portal("queue"), reason=reason)
        notices.tell_given_back(release, locked.pk, asked_by=locked.asked_by, reason=reason)
    logger.info("release %s is given back from the queue: %s", place.release_id, reason)
