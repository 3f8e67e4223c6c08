"""Freezes and stops, who went past them, and the windows that people gave a place on its page."""

from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from portal.people.models import LONGEST_SCOPE

EVERYWHERE: Final = "*"


class Freeze(models.Model):
    """A time in which nothing begins in a scope; without an end it is the line that somebody stopped.

    Rows are lifted or given other times, which the record keeps. Scopes are text: "environment:NAME",
    "team:KEY", "service:NAME" or "*".
    `zone` is the one in which the times were said.
    """

    name = models.CharField(max_length=120, blank=True)
    reason = models.TextField()
    scope = models.CharField(max_length=LONGEST_SCOPE)
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


class OpenHours(models.Model):
    """A recurring window of a place, said on the page; those of catalog files stand in the catalog.

    Rows are ended, never edited: a change ends one and adds another, which names what it replaces. `days` are
    numbers, Monday is 0; `closes_at` at or before `opens_at` means the day after. `first_day` and `last_day`
    are days on the wall of `zone`.
    """

    scope = models.CharField(max_length=LONGEST_SCOPE)
    days = models.JSONField()
    opens_at = models.TimeField()
    closes_at = models.TimeField()
    zone = models.CharField(max_length=64)
    first_day = models.DateField(null=True, blank=True)
    last_day = models.DateField(null=True, blank=True)
    reason = models.TextField()
    replaces = models.OneToOneField("self", models.PROTECT, null=True, related_name="replaced_by")
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    added_at = models.DateTimeField()
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(first_day=None) | Q(last_day=None) | Q(last_day__gte=F("first_day")),
                name="calendar_hours_last_day_later",
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None) | ~Q(end_reason=""), name="calendar_hours_ended_with_reason"
            ),
        ]
        indexes = [models.Index(fields=["scope"], condition=Q(ended_at=None), name="calendar_hours_standing")]
        ordering = ["scope", "id"]

    def __str__(self) -> str:
        return f"{self.scope} {self.opens_at:%H:%M}–{self.closes_at:%H:%M}"


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
