"""One entry of the record; the database links it into the chain when its transaction commits."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext

from portal.audit.verifier import Fault
from portal.holding import write_out

LINKED = Q(number__isnull=False)


class Entries(models.Manager["AuditEntry"]):
    """Whoever reads the record reads the acts of its own transaction as well: what is held comes first."""

    def get_queryset(self) -> models.QuerySet["AuditEntry"]:
        """Return all entries."""
        write_out()
        return super().get_queryset()


class AuditEntry(models.Model):
    """An act: who, through which door, on what, before and after, why.

    `body` is the RFC 8785 text of the entry; `digest` is the SHA-256 of
    {"entry": body, "number": number, "previous": previous} in the same form. The other columns
    repeat the body for searching. A deferred trigger gives number, previous and digest at commit,
    and no row can be changed or deleted afterwards (migration 0002).
    """

    number = models.BigIntegerField(null=True, editable=False)
    at = models.DateTimeField(db_index=True)
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=60)
    subject_kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=200)
    release = models.BigIntegerField(null=True)
    service = models.CharField(max_length=120, blank=True)
    body = models.TextField()
    previous = models.CharField(max_length=64, null=True, editable=False)
    digest = models.CharField(max_length=64, null=True, editable=False)

    objects = Entries()

    class Meta:
        # Linking an entry writes it once more; an index of linked entries alone is written once, not twice. A
        # search by one of these asks for a number too. By time and by release an act finds its own entries.
        constraints = [models.UniqueConstraint(fields=["number"], condition=LINKED, name="audit_number")]
        indexes = [
            models.Index(fields=["actor"], condition=LINKED, name="audit_actor"),
            models.Index(fields=["action"], condition=LINKED, name="audit_action"),
            models.Index(fields=["subject_kind", "subject"], condition=LINKED, name="audit_of_subject"),
            models.Index(
                fields=["service", "-number"], condition=LINKED & ~Q(service=""), name="audit_of_service"
            ),
            models.Index(fields=["release"], condition=Q(release__isnull=False), name="audit_release"),
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

    `checkpoints` is how many held, `signed` the highest entry that one of them covers, `removed` the last
    entry of the beginning that was removed by rule. `code` and `values` say what is wrong in the reader's
    language; `text` is what checks of earlier versions of the portal said.
    """

    at = models.DateTimeField(db_index=True)
    entries = models.BigIntegerField()
    head = models.CharField(max_length=64)
    checkpoints = models.BigIntegerField(default=0)
    signed = models.BigIntegerField(default=0)
    broken_at = models.BigIntegerField(null=True)
    fault = models.CharField(max_length=20, blank=True)
    text = models.CharField(max_length=500, blank=True)
    code = models.CharField(max_length=20, blank=True)
    values = models.JSONField(default=dict)
    removed = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.entries} {self.fault or 'whole'}"

    @property
    def said(self) -> str:
        """What is wrong, in words."""
        if not self.code:
            return self.text
        return Fault(self.broken_at or 0, self.code, self.values).sentence(gettext)


class Verification(models.Model):
    """A verification on its way, piece by piece; `so_far` is all that whoever takes the next piece must know.

    It belongs to the portal: `asked_by` is who pressed first, "" where nobody did. At most one is running.
    `entries` is how many were walked of `total`, `seconds` what that took without the waiting between pieces,
    `told` the number of the event by which browsers know of its present state.
    """

    running = models.BooleanField(default=True)
    asked_by = models.CharField(max_length=150, blank=True)
    begun_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    total = models.BigIntegerField()
    entries = models.BigIntegerField(default=0)
    pieces = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0)
    told = models.BigIntegerField(default=0)
    so_far = models.JSONField(null=True)
    check_made = models.OneToOneField(ChainCheck, models.PROTECT, null=True, related_name="verification")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["running"], condition=Q(running=True), name="audit_one_verification"
            ),
        ]
        ordering = ["-begun_at"]

    def __str__(self) -> str:
        return f"{self.entries}/{self.total}"

    @property
    def rate(self) -> int:
        """Entries a second while it works."""
        return round(self.entries / self.seconds) if self.seconds else 0

    @property
    def left(self) -> int:
        """How many entries are not looked at yet."""
        return max(self.total - self.entries, 0)

    @property
    def percent(self) -> int:
        """How far it is; not whole before its end."""
        return min(100 * self.entries // self.total, 99) if self.total else 0
