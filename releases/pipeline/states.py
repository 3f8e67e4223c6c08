"""What becomes of an event in an environment."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class ArrivalState(models.TextChoices):
    """Where an arrival stands."""

    WAITING = "waiting", _("waiting")
    STARTED = "started", _("started")
    QUEUED = "queued", _("queued")
    SCHEDULED = "scheduled", _("scheduled")
    SUBMITTED = "submitted", _("submitted")
    REPLACED = "replaced", _("replaced")
    REFUSED = "refused", _("refused")


A = ArrivalState
ARRIVAL_MOVES: dict[str, frozenset[str]] = {
    A.WAITING: frozenset({A.STARTED, A.QUEUED, A.SCHEDULED, A.SUBMITTED, A.REPLACED, A.REFUSED}),
    A.STARTED: frozenset(),
    A.QUEUED: frozenset(),
    A.SCHEDULED: frozenset(),
    A.SUBMITTED: frozenset(),
    A.REPLACED: frozenset(),
    A.REFUSED: frozenset(),
}
