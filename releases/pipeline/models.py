"""Events as they were delivered, and what became of each in every environment that asks for it."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from portal.sentences import worded
from releases.catalog.models import Connection, Environment
from releases.models import Release
from releases.pipeline.states import ARRIVAL_MOVES, ArrivalState


class Delivery(models.Model):
    """A signed event, kept once under the id that its sender gave it.

    `event` is {"kind", "repository", "ref", "commit", "by", "builds"}; empty where it was about nothing that
    starts anything. `happened_at` and `before` are what it says besides of its order among others: when it
    happened, and on top of which commit.
    """

    connection = models.ForeignKey(Connection, models.PROTECT, related_name="deliveries")
    delivery_id = models.CharField(max_length=200)
    event = models.JSONField(default=dict)
    happened_at = models.DateTimeField(null=True, blank=True)
    before = models.CharField(max_length=250, blank=True, db_default="")
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "delivery_id"], name="pipeline_delivered_once")
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"delivery {self.pk}"


class Arrival(models.Model):
    """An event in one environment: a release is made of it, submitted and, where that may be, started.

    `services` are the names of those concerned. `wake_at` is when the sweep must look again, `tries` how
    often somebody did, `give_up_at` when it is refused for good. `why` is the reason as `sentences.kept`
    gives it.
    """

    MOVES: ClassVar[dict[str, frozenset[str]]] = ARRIVAL_MOVES
    KIND: ClassVar[str] = "arrival"
    ACCESS_VIA: ClassVar[str] = "environment"

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="arrivals")
    environment = models.ForeignKey(Environment, models.PROTECT, related_name="arrivals")
    services = models.JSONField(default=list)
    starts = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=ArrivalState.choices, default=ArrivalState.WAITING)
    release = models.ForeignKey(Release, models.SET_NULL, null=True, related_name="arrivals")
    reason = models.TextField(blank=True)
    why = models.JSONField(null=True, blank=True)
    tries = models.PositiveIntegerField(default=0)
    wake_at = models.DateTimeField(null=True, blank=True)
    give_up_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["delivery", "environment"], name="pipeline_arrives_once"),
            models.CheckConstraint(condition=Q(state__in=ArrivalState.values), name="pipeline_arrival_state"),
        ]
        indexes = [
            models.Index(
                fields=["wake_at"], condition=Q(state=ArrivalState.WAITING), name="pipeline_arrivals_due"
            )
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.delivery} in {self.environment_id}"

    @property
    def said(self) -> str:
        """The reason, in the reader's language; as it was written where an older portal wrote it."""
        return worded(self.why or self.reason)
