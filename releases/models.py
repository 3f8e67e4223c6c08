"""A release: what goes out, its changes and checks, and where its life stands."""

from typing import ClassVar

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from approvals.models import Request
from portal.people.models import Role
from releases.catalog.models import Environment, Plan, Service
from releases.states import MOVES, ReleaseState

GRADES = [(letter, letter) for letter in "ABCDE"]


class Release(models.Model):
    """Several services with exact images, for one environment.

    `content` is the canonical content as sealed at submission (rules.md, "Content"), `content_digest` the
    SHA-256 of its RFC 8785 form; both are recomputed at every edit. `proposal` is
    {"grade", "reasons": [{"fact", "service", "grade", "source"}]}; its words come from
    releases.queries.reasons_of. `checklist` is {"name", "version"} of the template copied at submission.
    `scheduled_at` and `scheduled_by` are set while it is scheduled, and only then. `carried_from` is the
    release of the environment before, whose very images it takes along (`releases.stations`). `operation` is
    set where no version goes out but something is done to what runs: {"kind", "service", …}, see
    releases.operating; such a release has no plan, and its item is what runs.
    """

    MOVES: ClassVar[dict[str, frozenset[str]]] = MOVES
    KIND: ClassVar[str] = "release"
    ACCESS_VIA: ClassVar[str] = "environment"

    number = models.BigAutoField(primary_key=True)
    title = models.CharField(max_length=200)
    environment = models.ForeignKey(Environment, models.PROTECT, related_name="releases")
    plan = models.ForeignKey(Plan, models.PROTECT, null=True, related_name="releases")
    state = models.CharField(max_length=20, choices=ReleaseState.choices, default=ReleaseState.DRAFT)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="releases")
    contributors = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="contributed_releases")
    facts = models.JSONField(default=dict)
    database_changes = models.JSONField(default=list)
    grade = models.CharField(max_length=1, choices=GRADES, blank=True)
    grade_reason = models.TextField(blank=True)
    proposal = models.JSONField(default=dict)
    incident = models.JSONField(null=True, blank=True)
    announcement = models.TextField(blank=True)
    content = models.JSONField(default=dict)
    content_digest = models.CharField(max_length=80, blank=True)
    operation = models.JSONField(default=dict, db_default={})
    checklist = models.JSONField(default=dict)
    policy_version = models.PositiveIntegerField(null=True)
    approval_request = models.ForeignKey(Request, models.PROTECT, null=True, related_name="+")
    duplicate_of = models.ForeignKey("self", models.PROTECT, null=True, related_name="duplicates")
    carried_from = models.ForeignKey("self", models.PROTECT, null=True, related_name="carried")
    superseded_by = models.ForeignKey("self", models.PROTECT, null=True, related_name="supersedes")
    scheduled_at = models.DateTimeField(null=True, blank=True)
    scheduled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="scheduled_releases"
    )
    target_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ReleaseState.values), name="releases_release_state"),
            models.CheckConstraint(condition=Q(grade__in=["", *"ABCDE"]), name="releases_release_grade"),
            models.CheckConstraint(
                condition=Q(state=ReleaseState.SCHEDULED, scheduled_at__isnull=False)
                | (~Q(state=ReleaseState.SCHEDULED) & Q(scheduled_at=None)),
                name="releases_scheduled_has_its_time",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "-number"], name="releases_by_state"),
            models.Index(fields=["environment", "-number"], name="releases_by_environment"),
            models.Index(fields=["author", "-number"], name="releases_by_author"),
            models.Index(
                fields=["scheduled_at"], condition=Q(state=ReleaseState.SCHEDULED), name="releases_due"
            ),
        ]
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"#{self.number} {self.title}"

    @property
    def topic(self) -> str:
        """The live stream of this release."""
        return f"release.{self.number}"

    @property
    def subject(self) -> str:
        """The opaque key under which approvals know this release."""
        return f"release:{self.number}"


class Item(models.Model):
    """One service in a release: the version people asked for and the image it was resolved to.

    `accepted` are the digests a node may report for this image: index, platform manifests, configs.
    `configuration` are changed keys: [{"key", "before", "after"}], `facts` what is stated of this service
    besides the facts of the whole release. `built_by` is the username or address that
    a person named, `image_authors` what the image's own label says.
    """

    release = models.ForeignKey(Release, models.CASCADE, related_name="items")
    service = models.ForeignKey(Service, models.PROTECT, related_name="items")
    position = models.PositiveSmallIntegerField(default=0)
    version = models.CharField(max_length=128)
    image = models.CharField(max_length=400, blank=True)
    digest = models.CharField(max_length=80, blank=True)
    accepted = models.JSONField(default=list)
    commit = models.CharField(max_length=64, blank=True)
    built_by = models.CharField(max_length=254, blank=True)
    image_authors = models.CharField(max_length=500, blank=True)
    running = models.JSONField(default=dict)
    configuration = models.JSONField(default=list)
    facts = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["release", "service"], name="releases_item_once")]
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return f"{self.service_id} {self.version}"


class Change(models.Model):
    """One line of what is in the release, with its area in brackets in the announcement."""

    release = models.ForeignKey(Release, models.CASCADE, related_name="changes")
    position = models.PositiveSmallIntegerField(default=0)
    area = models.CharField(max_length=60)
    text = models.CharField(max_length=500)
    link = models.URLField(max_length=500, null=True, blank=True)

    class Meta:
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return f"[{self.area}] {self.text}"


class CheckPhase(models.TextChoices):
    """When a check is due."""

    BEFORE = "before", _("Before")
    DURING = "during", _("During")
    AFTER = "after", _("After")


class CheckResult(models.TextChoices):
    """How a check was answered."""

    DONE = "done", _("done")
    FAILED = "failed", _("failed")
    NOT_APPLICABLE = "not_applicable", _("not applicable")


class Check(models.Model):
    """One item of the release's checklist, copied from its template at submission.

    `kind` is person, or machine where its `gate` answers it: nobody else does then.
    """

    release = models.ForeignKey(Release, models.CASCADE, related_name="checks")
    phase = models.CharField(max_length=6, choices=CheckPhase.choices)
    position = models.PositiveSmallIntegerField(default=0)
    text = models.CharField(max_length=300)
    role = models.CharField(max_length=20, choices=Role.choices, blank=True)
    kind = models.CharField(max_length=10, default="person")
    required = models.BooleanField(default=True)
    result = models.CharField(max_length=14, choices=CheckResult.choices, blank=True)
    evidence = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(phase__in=CheckPhase.values), name="releases_check_phase")
        ]
        ordering = ["phase", "position", "id"]

    def __str__(self) -> str:
        return self.text


class EvidenceFile(models.Model):
    """A file given as evidence, kept once under the SHA-256 of its bytes; it is never changed."""

    digest = models.CharField(max_length=80, unique=True)
    media_type = models.CharField(max_length=60)
    size_bytes = models.PositiveIntegerField()
    content = models.BinaryField()
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.digest


class Answer(models.Model):
    """One answer to a check; inserted, never edited, so that what a later one replaces stays readable.

    `item` is gone when a later submission copied the checklist anew; `text` is what was asked.
    `evidence` is what `Check.evidence` was set to: a text, or {"text", "link", "file": {"name", "digest",
    "media_type", "size_bytes"}}.
    """

    release = models.ForeignKey(Release, models.CASCADE, related_name="answers")
    item = models.ForeignKey(Check, models.SET_NULL, null=True, related_name="answers")
    text = models.CharField(max_length=300)
    result = models.CharField(max_length=14, choices=CheckResult.choices)
    evidence = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    file = models.ForeignKey(EvidenceFile, models.PROTECT, null=True, related_name="answers")
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    answered_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(result__in=CheckResult.values), name="releases_answer_result")
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.text}: {self.result}"


class GateResult(models.TextChoices):
    """What a measurement came to: breached is measured bad, errored not measurable, inconclusive neither."""

    PASSED = "passed", _("passed")
    BREACHED = "breached", _("breached")
    ERRORED = "errored", _("could not measure")
    INCONCLUSIVE = "inconclusive", _("inconclusive")


class Gate(models.Model):
    """What the portal measures again and again while a person is awaited.

    It repeats a check of the plan after the waves, whose breach turns the sign-off off; or, with an `item`,
    it answers this item of the checklist. `kind` and `params` are those of the step that would measure the
    same. `observed` is {"code", "args"?, …}, worded by releases.observations; `history` the latest results,
    oldest first: [{"at", "result"}]. `due_at` is when to measure next; the sweep moves it on when it has it
    measured, and what was seen counts only while it stands so. `breached_at` is set from the first bad
    measurement until a good one, `ignored_at` when somebody let exactly this breach pass; `breaches` tells
    one from the next.
    """

    release = models.ForeignKey(Release, models.CASCADE, related_name="gates")
    item = models.OneToOneField(Check, models.CASCADE, null=True, related_name="gate")
    key = models.CharField(max_length=120)
    position = models.PositiveSmallIntegerField(default=0)
    kind = models.CharField(max_length=40)
    params = models.JSONField(default=dict)
    service = models.ForeignKey(Service, models.PROTECT, null=True, related_name="+")
    result = models.CharField(max_length=12, choices=GateResult.choices, blank=True)
    observed = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    history = models.JSONField(default=list)
    since = models.DateTimeField(null=True, blank=True)
    measured_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField()
    breaches = models.PositiveIntegerField(default=0)
    breached_at = models.DateTimeField(null=True, blank=True)
    ignored_at = models.DateTimeField(null=True, blank=True)
    ignored_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    ignored_reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["release", "key"], name="releases_gate_once"),
            models.CheckConstraint(
                condition=Q(result__in=["", *GateResult.values]), name="releases_gate_result"
            ),
            models.CheckConstraint(
                condition=Q(ignored_at=None) | Q(breached_at__isnull=False),
                name="releases_only_a_breach_is_ignored",
            ),
        ]
        indexes = [models.Index(fields=["due_at"], name="releases_gates_due")]
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.key

    @property
    def is_breached(self) -> bool:
        """Whether a breach stands that nobody has let pass."""
        return self.breached_at is not None and self.ignored_at is None
