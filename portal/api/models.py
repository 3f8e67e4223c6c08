"""Answers kept so that a repeated write is answered, not repeated."""

from django.conf import settings
from django.db import models


class IdempotencyKey(models.Model):
    """The answer once given to (person, key); a different request under the same key is refused."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    request_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="api_idempotency_key")]

    def __str__(self) -> str:
        return self.key
