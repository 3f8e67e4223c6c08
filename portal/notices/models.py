"""What each person chose."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

LAST_HOUR = 23


class Way(models.TextChoices):
    """How messages of a kind reach a person."""

    AT_ONCE = "at_once", _("By mail at once")
    DIGEST = "digest", _("In the daily digest")
    PAGE = "page", _("Not by mail, on the pages only")


class Preferences(models.Model):
    """How a person is told; without a row, everything at once and at any hour.

    `ways` is {kind: way}; a kind that it does not name comes at once. Hours are those of the person's own
    clock; `trouble_wakes` lets failures of a rollout that they are in charge of through in quiet hours.
    """

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+"
    )
    ways = models.JSONField(default=dict)
    quiet_from = models.PositiveSmallIntegerField(null=True)
    quiet_until = models.PositiveSmallIntegerField(null=True)
    trouble_wakes = models.BooleanField(default=True)
    digest_hour = models.PositiveSmallIntegerField(default=9)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(quiet_from=None, quiet_until=None)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False)
                & Q(quiet_from__lte=LAST_HOUR, quiet_until__lte=LAST_HOUR)
                & ~Q(quiet_from=F("quiet_until")),
                name="notices_quiet_hours",
            ),
            models.CheckConstraint(condition=Q(digest_hour__lte=LAST_HOUR), name="notices_digest_hour"),
        ]

    def __str__(self) -> str:
        return f"{self.person_id}"

    def way(self, kind: str) -> str:
        """How messages of a kind reach the person."""
        return str(self.ways.get(kind, Way.AT_ONCE))
