"""A message on its way out."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class MessageState(models.TextChoices):
    """Where a message stands."""

    WAITING = "waiting", _("waiting")
    SENT = "sent", _("sent")
    PARKED = "parked", _("parked")


class Message(models.Model):
    """Written in the transaction of the act that causes it; `key` makes a second writing harmless."""

    key = models.CharField(max_length=200, unique=True)
    channel = models.CharField(max_length=20)
    recipient = models.CharField(max_length=254)
    subject = models.CharField(max_length=250)
    body = models.TextField()
    link = models.CharField(max_length=250, blank=True)
    state = models.CharField(max_length=10, choices=MessageState.choices, default=MessageState.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField()
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=MessageState.values), name="outbox_message_state")
        ]
        indexes = [models.Index(fields=["next_at"], condition=Q(state="waiting"), name="outbox_due")]
        ordering = ["id"]

    def __str__(self) -> str:
        return self.key
