"""Nudges of the engine, measurements, and the sweeps that find what nobody nudged and what is due."""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from portal import clock, trace
from portal.actors import Actor
from portal.audit import checkpoints
from portal.errors import DATABASE_AWAY, Conflict, NotFound, PortalError
from portal.jobs import Failure, enqueue_each, for_each, job, on_failure, sweep
from portal.sentences import Text
from portal.statements import Given, Question
from releases.models import Release
from releases.operations import claim_due, miss_schedule
from releases.operations.gates import MEASURE
from releases.rollouts.models import QueuePlace, Rollout, WatchLead
from releases.rollouts.states import ACTIVE, WATCHED, PlaceState, RolloutState
from releases.states import ReleaseState

logger = logging.getLogger(__name__)

# What the portal itself slept through is not started in the middle of the next morning.
LATEST = timedelta(hours=1)
# So long after its last checkpoint the portal may have lived on.
CHECKPOINT = timedelta(hours=1)


def _due() -> QuerySet[Rollout]:
    now = Given("now")
    due = Q(wake_at__lte=now, state__in=[*ACTIVE, RolloutState.PAUSED])
    asked = Q(orders__honoured_at=None, orders__isnull=False)
    free = Q(lease_until=None) | Q(lease_until__lte=now)
    found = Rollout.objects.filter(free & (due | Q(lease_until__lte=now) | asked))
    return found.only("pk").order_by("pk").distinct()


_DUE = Question(_due)


def broke_off(rollout_id: int, *, failure: Failure) -> None:
    """Count a round that raised; after some the step that it was at is parked."""
    from releases.rollouts import engine  # noqa: PLC0415  as below

    engine.broke_off(rollout_id, failure)


@on_failure(broke_off)
@job
def advance(rollout_id: int) -> None:
    """Carry a rollout as far as it can go now."""
    from releases.rollouts import engine  # noqa: PLC0415  the sweeper needs no Kubernetes client

    engine.advance(rollout_id)


def not_measured(gate_id: int, *, failure: Failure) -> None:
    """Say that a measurement broke off by a fault of our own."""
    from releases.rollouts import measuring  # noqa: PLC0415  as below

    measuring.broke_off(gate_id, failure)


@on_failure(not_measured)
@job
def measure(gate_id: int) -> None:
    """Measure one gate once."""
    from releases.rollouts import measuring  # noqa: PLC0415  as above

    measuring.measure(gate_id)


@sweep(every_seconds=1)
def measure_due() -> None:
    """Have measured what is due while people are awaited; one that got lost is due again after its claim."""
    enqueue_each(MEASURE, claim_due())


@sweep(every_seconds=1)
def nudge_due() -> None:
    """Nudge rollouts whose time has come, whose worker died, or whose orders nobody has honoured."""
    enqueue_each("releases.rollouts.jobs.advance", [each.pk for each in _DUE.ask(now=clock.now())])


@sweep(every_seconds=5)
def nudge_unwatched() -> None:
    """Nudge rollouts whose cluster nobody watches: where a watcher leads, it tells of what happens there."""
    led = WatchLead.objects.filter(until__gt=clock.now()).values("cluster")
    waiting = Rollout.objects.filter(state__in=[*WATCHED], lease_until=None)
    found = waiting.exclude(environment__cluster__name__in=led).order_by("pk")
    enqueue_each("releases.rollouts.jobs.advance", found.values_list("pk", flat=True))


@sweep(every_seconds=2)
def start_due() -> None:
    """Start what was scheduled for now, in the name of who scheduled it, by the operation of every door."""
    due = Release.objects.filter(state=ReleaseState.SCHEDULED, scheduled_at__lte=clock.now())
    for_each(due.select_related("scheduled_by").order_by("scheduled_at", "number"), _start_due)


def _start_due(release: Release) -> None:
    from releases.rollouts import queueing  # noqa: PLC0415  only where something is due; as above

    at = release.scheduled_at
    assert at is not None
    try:
        _require_its_time(at)
        actor = Actor(user=release.scheduled_by, door="worker", cause="schedule")
        queueing.ask_start(release.number, actor=actor, due=at)
    except PortalError as error:
        gone = _("Who scheduled it may not start it any more.")
        reason = gone if isinstance(error, NotFound) else error.detail
        _give_back(release.number, at, reason)
    except DATABASE_AWAY:
        raise
    except Exception:
        incident = trace.number()
        logger.exception("the start of release %s broke off, incident %s", release.number, incident)
        _give_back(release.number, at, queueing.broke_off(incident))


def _require_its_time(at: datetime) -> None:
    if clock.now() - at > LATEST:
        raise Conflict(_("The portal did not run at that time."))
    if _has_come_before(at):
        raise Conflict(_("An older copy of the database was put back: look whether it started already."))


def _has_come_before(at: datetime) -> bool:
    """Whether that time has come once already, in what a restored database knows nothing of."""
    until = checkpoints.lived_until()
    return until is not None and at <= until + CHECKPOINT


def _give_back(number: int, at: datetime, reason: Text) -> None:
    try:
        miss_schedule(number, at=at, actor=Actor.portal("schedule"), reason=reason)
    except Conflict as error:
        logger.info("release %s moved meanwhile: %s", number, error)


@sweep(every_seconds=1)
def begin_queued() -> None:
    """Begin the starts whose turn has come, or give them back."""
    if QueuePlace.objects.filter(state=PlaceState.QUEUED).exists():
        from releases.rollouts import queueing  # noqa: PLC0415  only where somebody waits; as above

        queueing.begin_due()


@sweep(every_seconds=3)
def make_demo_releases() -> None:
    """Give the demo its releases, once what runs on the practice cluster was seen; elsewhere nothing."""
    if settings.DEMO == "full":
        from releases.rollouts import demo  # noqa: PLC0415  only the demo needs it; as above

        demo.load_releases()
