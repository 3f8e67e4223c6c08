"""Who there is, which team and role they have, and the tokens they act with."""

from datetime import timedelta
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import F, Q
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    """The roles of rules.md, "Rows"."""

    PL = "pl", _("Project lead")
    TEAM_LEAD = "team_lead", _("Team lead")
    INFRA_SENIOR = "infra_senior", _("Infrastructure senior")
    DIRECTOR = "director", _("Director")
    QA = "qa", _("QA")
    RELEASE_MANAGER = "release_manager", _("Release manager")
    AUDITOR = "auditor", _("Auditor")
    ADMINISTRATOR = "administrator", _("Administrator")


# These change or watch the whole portal: they decide nothing that another could decide for them.
NEVER_DELEGATED = frozenset({Role.AUDITOR, Role.ADMINISTRATOR})
DELEGATED = tuple(role for role in Role.values if role not in NEVER_DELEGATED)
LONGEST_DELEGATION = timedelta(days=90)
# "cluster_group:" before a name of the catalog, which has 120 characters at most.
LONGEST_SCOPE = 134


class User(AbstractUser):
    """A person who signs in. Rights come from roles; `is_superuser` and `is_staff` are never set."""

    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    name = models.CharField(_("name"), max_length=80)
    language = models.CharField(
        _("language"), max_length=2, choices=[("ko", "한국어"), ("en", "English")], blank=True
    )
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True)
    theme = models.CharField(
        _("theme"),
        max_length=5,
        blank=True,
        choices=[("", _("As the system")), ("light", _("Light")), ("dark", _("Dark"))],
    )
    keys_enabled = models.BooleanField(_("keyboard shortcuts"), default=True)
    session_generation = models.PositiveIntegerField(default=0, editable=False)

    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name or self.username

    def get_full_name(self) -> str:
        """The name people know."""
        return str(self)

    def get_short_name(self) -> str:
        """The name people know."""
        return str(self)

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What a session must carry: raising the generation ends every open session of this person."""
        form = f"{self.password}/{self.session_generation}"
        return salted_hmac("portal.people.session", form, secret=secret, algorithm="sha256").hexdigest()


class Team(models.Model):
    """A group of people that owns services."""

    key = models.SlugField(max_length=60, unique=True)
    title = models.CharField(max_length=120)
    source = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["key"]

    def __str__(self) -> str:
        return self.title


class RoleAssignment(models.Model):
    """A person holds a role in a scope from one moment to another; rows are ended, never edited.

    Scopes are text: "service:NAME", "team:KEY", "environment:NAME", "cluster_group:NAME" or "*".
    """

    user = models.ForeignKey(User, models.PROTECT, related_name="assignments")
    role = models.CharField(max_length=20, choices=Role.choices)
    scope = models.CharField(max_length=LONGEST_SCOPE)
    granted_at = models.DateTimeField()
    granted_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "role", "scope"],
                condition=Q(revoked_at=None),
                name="people_one_active_assignment",
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="people_assignment_role"),
        ]
        indexes = [
            models.Index(fields=["role", "scope"], condition=Q(revoked_at=None), name="people_holders")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role}@{self.scope}"


class Delegation(models.Model):
    """One person decides for another, in one role and scope, between two moments (rules.md, "Who counts").

    Rows are ended, never edited: `ended_at` is set where one was ended before its time.
    """

    giver = models.ForeignKey(User, models.PROTECT, related_name="delegations_given")
    taker = models.ForeignKey(User, models.PROTECT, related_name="delegations_taken")
    role = models.CharField(max_length=20, choices=Role.choices)
    scope = models.CharField(max_length=LONGEST_SCOPE)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(giver=F("taker")), name="people_delegation_to_another"),
            models.CheckConstraint(condition=Q(role__in=DELEGATED), name="people_delegation_role"),
            models.CheckConstraint(
                condition=Q(starts_at__gte=F("made_at"), ends_at__gt=F("starts_at")),
                name="people_delegation_forwards",
            ),
            models.CheckConstraint(
                condition=Q(ends_at__lte=F("starts_at") + LONGEST_DELEGATION),
                name="people_delegation_bounded",
            ),
            models.CheckConstraint(
                condition=Q(ended_by=None) | Q(ended_at__isnull=False), name="people_delegation_ended"
            ),
        ]
        indexes = [models.Index(fields=["ends_at"], condition=Q(ended_at=None), name="people_delegations")]

    def __str__(self) -> str:
        return f"{self.taker_id} for {self.giver_id} {self.role}@{self.scope}"


class AccessToken(models.Model):
    """A personal token: shown once, stored hashed, cut to scopes, dying with its owner."""

    user = models.ForeignKey(User, models.CASCADE, related_name="access_tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=16, unique=True)
    hashed = models.CharField(max_length=64)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.prefix} {self.name}"
