"""A message on its way out."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class MessageState(models.TextChoices):
    """Where a message stands.

    Put off: it goes into its reader's next digest; collected: it went in one. Kept: its reader wants none by
    mail and finds it on the pages, or the account was closed before it left.
    """

    WAITING = "waiting", _("waiting")
    SENT = "sent", _("sent")
    PARKED = "parked", _("parked")
    PUT_OFF = "put_off", _("put off until the digest")
    COLLECTED = "collected", _("sent in a digest")
    KEPT = "kept", _("on the page only")


class Message(models.Model):
    """Written in the transaction of the act that causes it; `key` makes a second writing harmless.

    `person` is whom it is for, where that is somebody with an account, and `kind` what it is about. A message
    that was never tried and has its `next_at` ahead is held back, as in quiet hours.
    """

    key = models.CharField(max_length=200, unique=True)
    channel = models.CharField(max_length=20)
    recipient = models.CharField(max_length=254)
    subject = models.CharField(max_length=250)
    body = models.TextField()
    link = models.CharField(max_length=250, blank=True)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    kind = models.CharField(max_length=20, blank=True)
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
        indexes = [
            models.Index(fields=["next_at"], condition=Q(state="waiting"), name="outbox_due"),
            models.Index(fields=["next_at"], condition=Q(state="put_off"), name="outbox_put_off"),
        ]
        ordering = ["id"]

    def __str__(self) -> str:
        return self.key
