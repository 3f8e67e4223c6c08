"""Which releases need what the record says of them still."""

from datetime import datetime

from django.db.models import Q, QuerySet

from portal.audit.retention import KEEPERS
from releases.models import Release
from releases.states import ENDS


def register() -> None:
    """Let the record keep what open and recent releases need."""
    KEEPERS.append(needed_since)


def needed_since(before: datetime) -> QuerySet[Release, int]:
    """The numbers of releases that are open, or ended after that time: start and proof read the record."""
    open_or_recent = ~Q(state__in=ENDS) | Q(ended_at=None) | Q(ended_at__gte=before)
    return Release.objects.filter(open_or_recent).values_list("number", flat=True)
