"""Rows of incidents: one for each, and what people wrote into it."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from releases.catalog.models import Environment, Service
from releases.incidents.states import INCIDENT_MOVES, EntryKind, IncidentState
from releases.models import Release

# Entries by which a release is linked.
STANDING = Q(kind=EntryKind.LINKED, undone_at=None)


class Incident(models.Model):
    """A service in trouble, from when somebody says so until it is closed with its cause.

    `began_at` is since when it is in trouble: recovery is measured from there, not from when it was noticed.
    """

    MOVES: ClassVar[dict[str, frozenset[str]]] = INCIDENT_MOVES
    KIND: ClassVar[str] = "incident"
    ACCESS_VIA: ClassVar[str] = "environment"

    number = models.BigAutoField(primary_key=True)
    service = models.ForeignKey(Service, models.PROTECT, related_name="incidents")
    environment = models.ForeignKey(Environment, models.PROTECT, related_name="incidents")
    title = models.CharField(max_length=200)
    state = models.CharField(max_length=8, choices=IncidentState.choices, default=IncidentState.ONGOING)
    began_at = models.DateTimeField()
    opened_at = models.DateTimeField()
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    cause = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state=IncidentState.ONGOING, closed_at=None)
                | (Q(state=IncidentState.CLOSED, closed_at__isnull=False) & ~Q(cause="")),
                name="incidents_closed_with_a_cause",
            ),
            # Two who press at once come to the same page.
            models.UniqueConstraint(
                fields=["service", "environment"],
                condition=Q(state=IncidentState.ONGOING),
                name="incidents_one_at_a_place",
            ),
        ]
        indexes = [models.Index(fields=["environment", "-number"], name="incidents_newest")]
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"incident {self.number}"


class Entry(models.Model):
    """Something a person wrote into an incident; `told` is how many people a notice went to.

    A link that was a mistake stays as an entry, with `undone_at`. `changes` of a correction is
    {"title"?: [before, after], "began_at"?: [before, after]}.
    """

    incident = models.ForeignKey(Incident, models.CASCADE, related_name="entries")
    kind = models.CharField(max_length=10, choices=EntryKind.choices)
    text = models.TextField(blank=True)
    release = models.ForeignKey(Release, models.PROTECT, null=True, related_name="incident_entries")
    told = models.PositiveIntegerField(default=0)
    changes = models.JSONField(null=True, blank=True)
    undone_at = models.DateTimeField(null=True, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=EntryKind.values), name="incidents_entry_kind"),
            models.UniqueConstraint(
                fields=["incident", "release"], condition=STANDING, name="incidents_linked_once"
            ),
        ]
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.incident_id}"
