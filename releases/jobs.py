"""The sweeps over releases: lost roles and passed deadlines move them, people are reminded before."""

import logging

from django.db import transaction

from approvals import queries as approval_queries
from approvals.states import Phase, RequestState
from portal import clock
from portal.actors import Actor
from portal.errors import Conflict
from portal.jobs import for_each, sweep
from releases import queries, reminders
from releases.models import Release
from releases.operations import expire_release, recheck
from releases.states import PENDING, ReleaseState

logger = logging.getLogger(__name__)


@sweep(every_seconds=5)
def recheck_pending() -> None:
    """Reopen approved releases whose approval no longer counts, and end those whose time is over."""
    actor = Actor.portal("sweep")
    now = clock.now()
    waiting = [*PENDING, ReleaseState.SUBMITTED]
    pending = list(Release.objects.filter(state__in=waiting).select_related("approval_request"))
    standings = approval_queries.standings(release.approval_request_id or 0 for release in pending)

    def look_again(release: Release) -> None:
        request = release.approval_request
        if request is None:
            return
        try:
            if request.expires_at is not None and request.expires_at <= now:
                expire_release(release.number, actor=actor)
                return
            if release.state == ReleaseState.SUBMITTED:
                return
            met = standings[request.pk].is_met(Phase.REVIEW)
            if met != (request.state == RequestState.APPROVED):
                recheck(release.number, actor=actor)
        except Conflict as error:
            logger.info("release %s moved meanwhile: %s", release.number, error)

    for_each(pending, look_again)


@sweep(every_seconds=30)
def remind_of_deadlines() -> None:
    """Remind of deadlines that are near, and tell of those that have passed."""
    now = clock.now()
    pending = Release.objects.filter(state__in=reminders.EXPIRING).select_related("approval_request")

    def look(release: Release) -> None:
        if reminders.due(release, now):
            _remind(release.number)

    for_each([*pending, *queries.owing_reviews()], look)


def _remind(number: int) -> None:
    """Read again under lock: somebody may have decided meanwhile, or another sweeper told it."""
    with transaction.atomic():
        locked = Release.objects.select_for_update(of=("self",)).get(number=number)
        for reminder in reminders.due(locked, clock.now()):
            reminders.remind(locked, reminder)
