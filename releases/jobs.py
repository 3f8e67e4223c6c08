"""The sweep over pending releases: roles that were taken away and deadlines that passed move them."""

import logging

from approvals import queries as approval_queries
from approvals.states import Phase, RequestState
from portal import clock
from portal.actors import Actor
from portal.errors import Conflict
from portal.jobs import sweep
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
    for release in pending:
        request = release.approval_request
        if request is None:
            continue
        try:
            if request.expires_at is not None and request.expires_at <= now:
                expire_release(release.number, actor=actor)
                continue
            if release.state == ReleaseState.SUBMITTED:
                continue
            met = standings[request.pk].is_met(Phase.REVIEW)
            if met != (request.state == RequestState.APPROVED):
                recheck(release.number, actor=actor)
        except Conflict as error:
            logger.info("release %s moved meanwhile: %s", release.number, error)
