"""Rows of the schedules: when each is due next, what its runs came to, and the backups that are known."""

from datetime import datetime
from typing import Any, ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from releases.catalog.models import Environment, Service
from releases.rollouts.models import Step

# What a service comes to in a health check; the last where it did not answer, or was not asked any more.
GOOD, BAD, UNMEASURED = "good", "bad", "unmeasured"


class What(models.TextChoices):
    """What a schedule does."""

    HEALTH = "health", _("Check health")
    JOB = "job", _("Run the Job")


class Outcome(models.TextChoices):
    """What a run came to: failed is measured bad, errored not measurable; the last two never began."""

    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    ERRORED = "errored", _("errored")
    MISSED = "missed", _("missed")
    SKIPPED = "skipped", _("skipped")


class Schedule(models.Model):
    """A schedule of an environment's catalog file; `spec` is what the file says, `next_at` when it is due."""

    ACCESS_VIA: ClassVar[str] = "environment"

    environment = models.ForeignKey(Environment, models.CASCADE, related_name="schedules")
    name = models.CharField(max_length=63)
    spec = models.JSONField()
    next_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["environment", "name"], name="schedules_once")]
        ordering = ["environment", "name"]

    def __str__(self) -> str:
        return f"{self.environment_id}/{self.name}"


class ScheduledRun(models.Model):
    """One time at which a schedule was due, and what came of it.

    `spec` is the schedule with the Job as the catalog had it; `wake_at` when to look again, None once it is
    over. `acted` is the Job that was made, `observed` and `failure` are those of a step. What a health check
    has heard of each service is in them as "services": [{"service", "result", "seen"}], and in `observed` as
    "changed" {"new": [service], "well": [service]} how it differs from the check before.
    """

    ACCESS_VIA: ClassVar[str] = "environment"

    environment = models.ForeignKey(Environment, models.CASCADE, related_name="scheduled_runs")
    service = models.ForeignKey(Service, models.CASCADE, null=True, related_name="scheduled_runs")
    schedule = models.CharField(max_length=63)
    what = models.CharField(max_length=6, choices=What.choices)
    spec = models.JSONField()
    due_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=9, choices=Outcome.choices, blank=True)
    acted = models.JSONField(null=True, blank=True)
    observed = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    failure = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    wake_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            # Two sweepers may find the same time due; one row is one run.
            models.UniqueConstraint(
                fields=["environment", "schedule", "due_at"], name="schedules_run_once_a_time"
            ),
            models.CheckConstraint(condition=Q(what__in=What.values), name="schedules_run_what"),
            models.CheckConstraint(
                condition=Q(outcome__in=["", *Outcome.values]), name="schedules_run_outcome"
            ),
            models.CheckConstraint(
                condition=Q(outcome="", ended_at=None, wake_at__isnull=False)
                | (~Q(outcome="") & Q(ended_at__isnull=False, wake_at=None)),
                name="schedules_run_is_over_or_is_looked_after",
            ),
        ]
        indexes = [
            models.Index(fields=["wake_at"], condition=Q(outcome=""), name="schedules_run_due"),
            models.Index(fields=["environment", "-id"], name="schedules_run_newest"),
        ]
        ordering = ["-due_at", "-id"]

    def __str__(self) -> str:
        return f"{self.environment_id}/{self.schedule} {self.due_at:%Y-%m-%d %H:%M}"

    @property
    def begun_at(self) -> datetime:
        """When it began; only for a run that has."""
        assert self.started_at is not None
        return self.started_at

    @property
    def answers(self) -> list[dict[str, Any]]:
        """What a health check has heard of each service."""
        return (self.failure or {}).get("services") or self.observed.get("services") or []

    @property
    def troubled(self) -> dict[str, str]:
        """The results of the services that a health check has not found well, by name."""
        return {each["service"]: each["result"] for each in self.answers if each["result"] != GOOD}


class Backup(models.Model):
    """A backup that a Job has made, by the name under which it is restored.

    `rows` and `size_bytes` are what the Job said of it; None where it said nothing.
    """

    ACCESS_VIA: ClassVar[str] = "environment"

    service = models.ForeignKey(Service, models.CASCADE, related_name="backups")
    environment = models.ForeignKey(Environment, models.CASCADE, related_name="backups")
    name = models.CharField(max_length=200)
    made_at = models.DateTimeField()
    rows = models.BigIntegerField(null=True, blank=True)
    size_bytes = models.BigIntegerField(null=True, blank=True)
    run = models.OneToOneField(ScheduledRun, models.SET_NULL, null=True, related_name="backup")
    step = models.OneToOneField(Step, models.SET_NULL, null=True, related_name="backup")
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["service", "environment", "name"], name="schedules_one_backup_of_a_name"
            )
        ]
        indexes = [models.Index(fields=["service", "environment", "-made_at"], name="schedules_backups")]
        ordering = ["-made_at", "-id"]

    def __str__(self) -> str:
        return self.name
