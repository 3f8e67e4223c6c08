"""The life of a release (product.md, "A release's life"; words of screens.md 3.3)."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class ReleaseState(models.TextChoices):
    """Where a release stands."""

    DRAFT = "draft", _("draft")
    SUBMITTED = "submitted", _("submitted")
    IN_REVIEW = "in_review", _("in review")
    APPROVED = "approved", _("approved")
    SCHEDULED = "scheduled", _("scheduled")
    ROLLING_OUT = "rolling_out", _("rolling out")
    PAUSED = "paused", _("paused")
    VERIFYING = "verifying", _("verifying")
    AWAITING_SIGNOFF = "awaiting_signoff", _("awaiting sign-off")
    SWITCHING = "switching", _("switching")
    ANNOUNCED = "announced", _("announced")
    REVIEW_OWED = "review_owed", _("review owed")
    CLOSED = "closed", _("closed")
    SENT_BACK = "sent_back", _("sent back")
    REJECTED = "rejected", _("rejected")
    WITHDRAWN = "withdrawn", _("withdrawn")
    EXPIRED = "expired", _("expired")
    SUPERSEDED = "superseded", _("superseded")
    FAILED = "failed", _("failed")
    ROLLING_BACK = "rolling_back", _("rolling back")
    ROLLED_BACK = "rolled_back", _("rolled back")


S = ReleaseState
ENDS = frozenset({S.CLOSED, S.REJECTED, S.WITHDRAWN, S.EXPIRED, S.SUPERSEDED, S.ROLLED_BACK})
EDITABLE = frozenset({S.DRAFT, S.SENT_BACK, S.IN_REVIEW, S.APPROVED, S.SCHEDULED, S.SUBMITTED})
# Somebody said that it is over; or it was carried out, whatever became of its clean-up.
SETTLED = ENDS | {S.AWAITING_SIGNOFF, S.ANNOUNCED, S.REVIEW_OWED}
PENDING = frozenset({S.IN_REVIEW, S.APPROVED, S.SCHEDULED})
# Where an owed review can be given: the rollout is over, or stands in trouble that nobody may ever settle.
OWING = frozenset({S.REVIEW_OWED, S.FAILED})
_BEFORE_START = frozenset({S.DRAFT, S.SENT_BACK, S.REJECTED, S.WITHDRAWN, S.EXPIRED, S.SUPERSEDED})

MOVES: dict[str, frozenset[str]] = {
    S.DRAFT: frozenset({S.IN_REVIEW, S.SUBMITTED, S.WITHDRAWN}),
    S.SENT_BACK: frozenset({S.DRAFT, S.IN_REVIEW, S.SUBMITTED, S.WITHDRAWN}),
    S.SUBMITTED: frozenset({S.ROLLING_OUT, S.DRAFT, S.WITHDRAWN, S.SUPERSEDED, S.EXPIRED}),
    S.IN_REVIEW: _BEFORE_START | {S.APPROVED},
    S.APPROVED: _BEFORE_START | {S.IN_REVIEW, S.SCHEDULED, S.ROLLING_OUT},
    # To itself: for another time.
    S.SCHEDULED: _BEFORE_START | {S.IN_REVIEW, S.APPROVED, S.SCHEDULED, S.ROLLING_OUT},
    S.ROLLING_OUT: frozenset({S.PAUSED, S.VERIFYING, S.FAILED, S.ROLLING_BACK}),
    S.PAUSED: frozenset({S.ROLLING_OUT, S.VERIFYING, S.SWITCHING, S.FAILED, S.ROLLING_BACK}),
    S.VERIFYING: frozenset(
        {
            S.PAUSED,
            S.AWAITING_SIGNOFF,
            S.SWITCHING,
            S.ANNOUNCED,
            S.REVIEW_OWED,
            S.FAILED,
            S.ROLLING_BACK,
            S.ROLLING_OUT,
        }
    ),
    S.AWAITING_SIGNOFF: frozenset({S.SWITCHING, S.ANNOUNCED, S.ROLLING_BACK, S.FAILED}),
    S.SWITCHING: frozenset({S.PAUSED, S.ANNOUNCED, S.REVIEW_OWED, S.ROLLING_BACK, S.FAILED}),
    S.ANNOUNCED: frozenset({S.CLOSED, S.ROLLING_BACK, S.REVIEW_OWED}),
    S.REVIEW_OWED: frozenset({S.CLOSED, S.ROLLING_BACK}),
    S.FAILED: frozenset({S.ROLLING_OUT, S.VERIFYING, S.SWITCHING, S.ROLLING_BACK, S.REVIEW_OWED, S.CLOSED}),
    S.ROLLING_BACK: frozenset({S.ROLLED_BACK, S.FAILED, S.PAUSED}),
    S.CLOSED: frozenset({S.ROLLING_BACK}),
    # An end, unless what went out before anybody approved it was not reviewed yet.
    S.ROLLED_BACK: frozenset({S.REVIEW_OWED}),
    S.REJECTED: frozenset(),
    S.WITHDRAWN: frozenset(),
    S.EXPIRED: frozenset(),
    S.SUPERSEDED: frozenset(),
}
