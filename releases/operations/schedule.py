"""Scheduling: at its time the portal starts a release in the name of who scheduled it, by the same start."""

from datetime import datetime, timedelta

from django.utils.translation import gettext_lazy as _

from portal import clock
from portal.actors import Actor
from portal.errors import Conflict, Invalid, field_error
from portal.sentences import Text, sentence
from portal.ui import times
from portal.words import check_words
from releases import notices, openings, turns
from releases.models import Release
from releases.operating import is_restore
from releases.operations.locking import act, require_deploy, require_state
from releases.operations.moving import move_release
from releases.start import missing_reviews, refuse, still_approved
from releases.states import ReleaseState

S = ReleaseState
# In review is no wrong state: the rows that are open say more. A scheduled one is given another time.
SCHEDULABLE = frozenset({S.IN_REVIEW, S.APPROVED, S.SCHEDULED})
NEXT = "next"
FURTHEST = timedelta(days=366)


def schedule_release(
    number: int, *, actor: Actor, at: datetime | None = None, window: str | None = None
) -> Release:
    """Let an approved release start by itself at a time, or in the next opening of its place.

    A place in the queue is given up for it: it waits for its time or for its turn, never for both.
    What may still be done until then, such as checks, is not asked now: the start asks for it. An overdue
    review that holds the start is asked for: nothing is planned past it.

    Args:
        window: "next", instead of a time.

    Raises:
        NotFound, NotAllowed.
        Invalid: neither or both are given, the time is over, or the approval ends before it.
        Conflict: it restores a database; the state, then what is missing: rows of the review, or what closes
            the place at that time.
    """
    with act(number, actor=actor) as release:
        require_state(release, SCHEDULABLE)
        require_deploy(actor, release)
        if is_restore(release):
            raise Conflict(_("A restore is started by somebody who is there: it asks once more."))
        moment = _moment(release, at, window)
        _require_in_time(release, moment, field="at" if window is None else "window")
        missing = [*still_approved(release), *missing_reviews(release)]
        refuse([*missing, *openings.missing_for(release, at=moment)])
        require_state(release, SCHEDULABLE - {S.IN_REVIEW})
        release.scheduled_at, release.scheduled_by = moment, actor.user
        move_release(release, S.SCHEDULED, actor=actor, data={"at": moment.isoformat()})
        turns.leave_line(release, actor=actor, reason=_("It is scheduled instead."))
        return release


def unschedule_release(number: int, *, actor: Actor, reason: str = "") -> Release:
    """Take a release out of the schedule; it stays approved.

    Raises:
        NotFound, NotAllowed.
        Conflict: it is not scheduled.
    """
    with act(number, actor=actor) as release:
        check_words(reason)
        require_state(release, {S.SCHEDULED})
        require_deploy(actor, release)
        move_release(release, S.APPROVED, actor=actor, reason=reason)
        return release


def miss_schedule(number: int, *, at: datetime, actor: Actor, reason: Text) -> Release:
    """Give a release back that could not start at its time, and tell its people why.

    Raises:
        Conflict: it is no longer scheduled for that time.
    """
    with act(number, actor=actor) as release:
        require_due(release, at)
        who = release.scheduled_by
        move_release(release, S.APPROVED, actor=actor, reason=reason)
        notices.tell_missed(release, scheduled_by=who, reason=reason)
        return release


def require_due(release: Release, at: datetime) -> None:
    """Raise Conflict unless the locked release is still scheduled for this time."""
    require_state(release, {S.SCHEDULED})
    if release.scheduled_at != at:
        raise Conflict(_("It is scheduled for another time now."))


def _moment(release: Release, at: datetime | None, window: str | None) -> datetime:
    if (at is None) == (window is None):
        raise Invalid(missing=[field_error("at", _('Give a time as "at", or "window": "next".'))])
    if at is not None:
        return at
    if window != NEXT:
        raise Invalid(missing=[field_error("window", _('Write "next".'))])
    opens = openings.verdict_for(release).opens_at
    if opens is None:
        refuse(openings.missing_for(release))
        raise Invalid(missing=[field_error("window", _("No opening is in sight."))])
    return opens


def _require_in_time(release: Release, moment: datetime, *, field: str) -> None:
    now = clock.now()
    # The next opening may be this moment.
    if moment < now - timedelta(minutes=1) or moment > now + FURTHEST:
        raise Invalid(missing=[field_error(field, _("Choose a time from now on, within a year."))])
    request = release.approval_request
    if request is not None and request.expires_at is not None and request.expires_at <= moment:
        text = _("The approval ends before that: {until}. Choose an earlier time, or ask for approval again.")
        until = times.absolute(request.expires_at, now=now)
        raise Invalid(missing=[field_error(field, sentence(text, until=until))])
