"""One entry of the record; the database links it into the chain when its transaction commits."""

from django.db import models
from django.db.models import Q


class AuditEntry(models.Model):
    """An act: who, through which door, on what, before and after, why.

    `body` is the RFC 8785 text of the entry; `digest` is the SHA-256 of
    {"entry": body, "number": number, "previous": previous} in the same form. The other columns
    repeat the body for searching. A deferred trigger gives number, previous and digest at commit,
    and no row can be changed or deleted afterwards (migration 0002).
    """

    number = models.BigIntegerField(null=True, unique=True, editable=False)
    at = models.DateTimeField(db_index=True)
    actor = models.CharField(max_length=150, db_index=True)
    action = models.CharField(max_length=60, db_index=True)
    subject_kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=200)
    release = models.BigIntegerField(null=True, db_index=True)
    service = models.CharField(max_length=120, blank=True)
    body = models.TextField()
    previous = models.CharField(max_length=64, null=True, editable=False)
    digest = models.CharField(max_length=64, null=True, unique=True, editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["subject_kind", "subject"], name="audit_subject"),
            models.Index(fields=["service", "-number"], condition=~Q(service=""), name="audit_service"),
        ]
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"{self.number} {self.action} {self.subject}"


class Checkpoint(models.Model):
    """The head of the chain as it was signed: entries `first` to `number`, the last with digest `head`.

    `root` is that of the hash tree over the digests of these entries, `key` the short name of the public key,
    `signature` Ed25519 in hex. No row can be changed or deleted (migration 0004); a copy of each leaves the
    portal (witnesses).
    """

    number = models.BigIntegerField(unique=True)
    first = models.BigIntegerField(unique=True)
    head = models.CharField(max_length=64)
    root = models.CharField(max_length=64)
    at = models.DateTimeField()
    key = models.CharField(max_length=16)
    signature = models.CharField(max_length=128)

    class Meta:
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"{self.number} {self.head}"


class ChainCheck(models.Model):
    """One verification of the whole chain; `broken_at` is the number of the first bad entry, if any.

    `checkpoints` is how many held, `signed` the highest entry that one of them covers.
    """

    at = models.DateTimeField(db_index=True)
    entries = models.BigIntegerField()
    head = models.CharField(max_length=64)
    checkpoints = models.BigIntegerField(default=0)
    signed = models.BigIntegerField(default=0)
    broken_at = models.BigIntegerField(null=True)
    fault = models.CharField(max_length=20, blank=True)
    text = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.entries} {self.fault or 'whole'}"
