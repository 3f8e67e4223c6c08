"""Freezes and stops, and who went past them; windows stand in the catalog."""

from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import F, Q

EVERYWHERE: Final = "*"


class Freeze(models.Model):
    """A time in which nothing begins in a scope; without an end it is the line that somebody stopped.

    Rows are lifted, never edited. Scopes are text: "environment:NAME", "team:KEY", "service:NAME" or "*".
    `zone` is the one in which the times were said.
    """

    name = models.CharField(max_length=120, blank=True)
    reason = models.TextField()
    scope = models.CharField(max_length=120)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    zone = models.CharField(max_length=64)
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    added_at = models.DateTimeField()
    lifted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    lifted_at = models.DateTimeField(null=True, blank=True)
    lift_reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at=None) | Q(ends_at__gt=F("starts_at")), name="calendar_freeze_ends_later"
            ),
            models.CheckConstraint(
                condition=Q(lifted_at=None) | ~Q(lift_reason=""), name="calendar_freeze_lifted_with_reason"
            ),
            models.UniqueConstraint(
                fields=["scope"],
                condition=Q(ends_at=None, lifted_at=None),
                name="calendar_one_stop_a_scope",
            ),
        ]
        indexes = [
            models.Index(fields=["starts_at"], condition=Q(lifted_at=None), name="calendar_freezes_standing")
        ]
        ordering = ["starts_at", "id"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_stop(self) -> bool:
        """Whether it is a stop of the line, which has no end of its own."""
        return self.ends_at is None


class Passage(models.Model):
    """An emergency that began or went on in spite of a freeze, once for each of them, and why."""

    freeze = models.ForeignKey(Freeze, models.PROTECT, related_name="passages")
    subject = models.CharField(max_length=60)
    reason = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["freeze", "subject"], name="calendar_one_passage_a_subject")
        ]
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.subject} past {self.freeze_id}"
