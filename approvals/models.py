"""Policies, requests, the requirements copied into them, and the decisions people take."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from approvals.states import PROPOSAL_MOVES, REQUEST_MOVES, Phase, ProposalState, RequestState, Verdict
from portal.people.models import LONGEST_SCOPE, Delegation, Role


class PolicyVersion(models.Model):
    """One version of the grade table; the highest is in force, old ones stay with what they approved.

    `table` is {"A": {"review": [...], "signoff": [...], ...}, ...}, validated by approvals.policy.
    """

    version = models.PositiveIntegerField(unique=True)
    table = models.JSONField()
    note = models.CharField(max_length=250, blank=True)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-version"]

    def __str__(self) -> str:
        return f"policy {self.version}"


class Request(models.Model):
    """One round of asking for approval of one exact content.

    `subject` is an opaque key given by the caller: this app never learns what is being approved.
    Roles granted after `watched_since` by someone barred cannot serve it.
    """

    MOVES: ClassVar[dict[str, frozenset[str]]] = REQUEST_MOVES
    KIND: ClassVar[str] = "request"

    subject = models.CharField(max_length=120, db_index=True)
    round = models.PositiveIntegerField(default=1)
    policy = models.ForeignKey(PolicyVersion, models.PROTECT)
    grade = models.CharField(max_length=1)
    content_digest = models.CharField(max_length=80)
    state = models.CharField(max_length=10, choices=RequestState.choices, default=RequestState.OPEN)
    opened_at = models.DateTimeField()
    # None where files were loaded from the command line: nobody is the author then.
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    settled_at = models.DateTimeField(null=True, blank=True)
    watched_since = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    barred = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="barred_from", blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject"],
                condition=Q(state__in=[RequestState.OPEN, RequestState.APPROVED]),
                name="approvals_one_open_request",
            ),
            models.CheckConstraint(
                condition=Q(state__in=RequestState.values), name="approvals_request_state"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject} round {self.round}"


class Requirement(models.Model):
    """A row that must be met: so many people of a role in a scope, in a phase.

    `accepted` are the [role, scope] pairs of which a person must hold one. `climbed` names the steps of the
    ladder left behind: [{"role", "scope", "why": "author" | "barred" | "vacant"}].
    """

    request = models.ForeignKey(Request, models.CASCADE, related_name="requirements")
    phase = models.CharField(max_length=10, choices=Phase.choices)
    role = models.CharField(max_length=20, choices=Role.choices)
    scope = models.CharField(max_length=LONGEST_SCOPE)
    count = models.PositiveSmallIntegerField(default=1)
    accepted = models.JSONField(default=list)
    because = models.JSONField(default=list)
    climbed = models.JSONField(default=list)
    fulfillable = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(count__gte=1), name="approvals_count_positive"),
            models.CheckConstraint(condition=Q(phase__in=Phase.values), name="approvals_requirement_phase"),
        ]
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.phase}: {self.count} {self.role}@{self.scope}"


class Decision(models.Model):
    """One verdict by one person on one content; inserted or revoked, never edited.

    `capacities` are the [role, scope] pairs the person held when deciding; where they decided for somebody,
    the pairs that this person had given them by `delegations`.
    """

    request = models.ForeignKey(Request, models.CASCADE, related_name="decisions")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="decisions")
    on_behalf_of = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    delegations = models.ManyToManyField(Delegation, related_name="decisions", blank=True)
    phase = models.CharField(max_length=10, choices=Phase.choices)
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    content_digest = models.CharField(max_length=80)
    reason = models.TextField(blank=True)
    capacities = models.JSONField(default=list)
    door = models.CharField(max_length=10)
    decided_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    answer = models.TextField(blank=True)
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["request", "person", "phase"],
                condition=Q(revoked_at=None) & ~Q(verdict="object"),
                name="approvals_one_decision",
            ),
            models.CheckConstraint(
                condition=Q(verdict__in=Verdict.values), name="approvals_decision_verdict"
            ),
            models.CheckConstraint(
                condition=Q(on_behalf_of=None) | ~Q(on_behalf_of=F("person")),
                name="approvals_decision_for_another",
            ),
        ]
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.person_id} {self.verdict}"


class PolicyProposal(models.Model):
    """A change of the policy on its way into force; `table` is in the canonical form.

    At most one is open, so that what is signed is always a change of the policy in force.
    """

    MOVES: ClassVar[dict[str, frozenset[str]]] = PROPOSAL_MOVES
    KIND: ClassVar[str] = "proposal"

    base = models.ForeignKey(PolicyVersion, models.PROTECT, related_name="proposals")
    table = models.JSONField()
    note = models.TextField()
    content_digest = models.CharField(max_length=80)
    state = models.CharField(max_length=10, choices=ProposalState.choices, default=ProposalState.OPEN)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    approval_request = models.OneToOneField(Request, models.PROTECT, null=True, related_name="+")
    became = models.OneToOneField(PolicyVersion, models.PROTECT, null=True, related_name="proposal")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=Q(state=ProposalState.OPEN), name="approvals_one_open_proposal"
            ),
            models.CheckConstraint(
                condition=Q(state__in=ProposalState.values), name="approvals_proposal_state"
            ),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"proposal {self.pk}"

    @property
    def subject(self) -> str:
        """What its request is about."""
        return f"policy:{self.pk}"


class Coverage(models.Model):
    """The last look at who could approve what: one row, written anew by each look.

    `gaps` are [{"service", "cluster_group", "grade", "author", "phase", "role", "scope"}]; the author is a
    username, "" where nobody at all could approve.
    """

    policy = models.ForeignKey(PolicyVersion, models.PROTECT, related_name="+")
    gaps = models.JSONField(default=list)
    services = models.PositiveIntegerField()
    looked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"coverage at {self.looked_at}"
