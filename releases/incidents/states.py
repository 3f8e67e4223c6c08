"""What becomes of an incident."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class IncidentState(models.TextChoices):
    """Whether it is still being worked on."""

    ONGOING = "ongoing", _("ongoing")
    CLOSED = "closed", _("closed")


INCIDENT_MOVES: dict[str, frozenset[str]] = {
    IncidentState.ONGOING: frozenset({IncidentState.CLOSED}),
    IncidentState.CLOSED: frozenset(),
}


class EntryKind(models.TextChoices):
    """What a person wrote into an incident."""

    NOTE = "note", _("note")
    TOLD = "told", _("notice to the team")
    LINKED = "linked", _("release linked")
    UNLINKED = "unlinked", _("link taken back")
    CORRECTED = "corrected", _("corrected")
