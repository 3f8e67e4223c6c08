"""The durable rows of a rollout: graph of steps, orders of people, leases, and what was seen to run."""

from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models
from django.db.models import Q

from releases.catalog.models import Environment, Service
from releases.models import Release
from releases.operating import OperationKind
from releases.rollouts.states import (
    ACTIVE,
    DONE,
    FINDING_MOVES,
    PLACE_MOVES,
    ROLLOUT_MOVES,
    STANDING,
    STEP_MOVES,
    SWITCH,
    TROUBLED,
    Direction,
    FindingState,
    OrderKind,
    PlaceState,
    RolloutState,
    StepState,
)

DEPENDENCIES = """
SELECT edge.from_step_id, edge.to_step_id FROM rollouts_step_depends_on AS edge
JOIN rollouts_step AS later ON later.id = edge.from_step_id WHERE later.rollout_id = %s
"""


class Rollout(models.Model):
    """One carrying out of a release. Every write by the engine carries `lease_epoch` and is refused when old.

    `pause` is what `lifting.pause_of` keeps of it while paused. `wake_at` is when the sweep must look
    again. `trace` is that of the click which it follows now: its start, or the order honoured last. `nudges`
    counts advances asked for while another held the lease, `heard_at` is when an advance was last begun or
    counted: a nudge after it has not been heard yet. `stumble` is kept while rounds of the engine break
    off, see `stumbles`. `verdict` is what `verification.read_back` found. `failed_at` is when it first failed
    or began to go back, whatever came of it afterwards. `under_way_seconds` is for how long it was under way,
    without what people were awaited, up to `under_way_since`; see `durations`.
    """

    MOVES: ClassVar[dict[str, frozenset[str]]] = ROLLOUT_MOVES
    KIND: ClassVar[str] = "rollout"
    ACCESS_VIA: ClassVar[str] = "environment"

    release = models.ForeignKey(Release, models.PROTECT, related_name="rollouts")
    environment = models.ForeignKey(Environment, models.PROTECT, related_name="rollouts")
    state = models.CharField(max_length=20, choices=RolloutState.choices, default=RolloutState.QUEUED)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    content_digest = models.CharField(max_length=80)
    expected_seconds = models.PositiveIntegerField(default=0)
    pause = models.JSONField(null=True, blank=True)
    verdict = models.JSONField(null=True, blank=True)
    lease_owner = models.CharField(max_length=80, blank=True)
    lease_epoch = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    nudges = models.BigIntegerField(default=0)
    heard_at = models.DateTimeField(null=True, blank=True)
    stumble = models.JSONField(null=True, blank=True)
    wake_at = models.DateTimeField(null=True, blank=True)
    trace = models.CharField(max_length=32, blank=True, db_default="")
    queued_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    under_way_seconds = models.FloatField(null=True, blank=True)
    under_way_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=RolloutState.values), name="rollouts_rollout_state"),
            models.UniqueConstraint(
                fields=["release"],
                condition=Q(state__in=sorted({*ACTIVE, RolloutState.PAUSED, RolloutState.FAILED})),
                name="rollouts_one_open_rollout",
            ),
        ]
        indexes = [
            models.Index(fields=["wake_at"], condition=Q(state__in=sorted(ACTIVE)), name="rollouts_due"),
            models.Index(fields=["environment", "-id"], name="rollouts_by_environment"),
            models.Index(fields=["started_at"], name="rollouts_by_start"),
            models.Index(fields=["environment", "ended_at"], name="rollouts_by_end"),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"rollout {self.pk}"

    @property
    def topic(self) -> str:
        """The live stream of this rollout."""
        return f"rollout.{self.pk}"

    def dependencies(self) -> dict[int, set[int]]:
        """What each step depends on, by their keys; the graph never changes once it is written."""
        found: dict[int, set[int]] = {}
        with connection.cursor() as cursor:
            cursor.execute(DEPENDENCIES, [self.pk])
            for later, earlier in cursor.fetchall():
                found.setdefault(later, set()).add(earlier)
        return found


class Step(models.Model):
    """One node of the graph: what it will do, what it is doing, what it saw, how to undo it.

    `planned` is {"changes": [{"object", "field", "before", "after"}]}; `before` what was recorded
    for the way back; `observed` {"text", "ready", "wanted", ...}; `failure` {"code", "text", "message",
    "container", "pod", "log": [...], "events": [...]}; `history` the earlier attempts.
    """

    MOVES: ClassVar[dict[str, frozenset[str]]] = STEP_MOVES
    KIND: ClassVar[str] = "step"

    rollout = models.ForeignKey(Rollout, models.CASCADE, related_name="steps")
    key = models.CharField(max_length=120)
    kind = models.CharField(max_length=40)
    direction = models.CharField(max_length=8, choices=Direction.choices, default=Direction.FORWARD)
    service = models.ForeignKey(Service, models.PROTECT, null=True, related_name="+")
    wave = models.PositiveSmallIntegerField(default=0)
    wave_title = models.CharField(max_length=120, blank=True)
    position = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(max_length=12, choices=StepState.choices, default=StepState.WAITING)
    depends_on = models.ManyToManyField("self", symmetrical=False, related_name="dependents")
    undo_of = models.ForeignKey("self", models.PROTECT, null=True, related_name="undone_by")
    params = models.JSONField(default=dict)
    planned = models.JSONField(default=dict)
    before = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    intent = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    acted = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    observed = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    failure = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    history = models.JSONField(default=list, encoder=DjangoJSONEncoder)
    attempt = models.PositiveIntegerField(default=1)
    tries = models.PositiveIntegerField(default=0)
    timeout_seconds = models.PositiveIntegerField(default=600)
    reason = models.TextField(blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    acted_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    wake_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rollout", "key"], name="rollouts_step_key"),
            models.CheckConstraint(condition=Q(state__in=StepState.values), name="rollouts_step_state"),
        ]
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.key

    @property
    def is_warning(self) -> bool:
        """Whether it is a clean-up that did not go well: the rollout goes on, and it can be tried again."""
        clears = bool(self.params.get("cleanup")) and self.direction == Direction.FORWARD
        return clears and self.state in TROUBLED

    @property
    def is_settled(self) -> bool:
        """Whether what comes after it may begin."""
        return self.state in DONE or self.is_warning

    @property
    def is_restore(self) -> bool:
        """Whether it restores a database, which each time is asked for by itself."""
        return self.kind == OperationKind.RESTORE

    @property
    def is_after_signoff(self) -> bool:
        """Whether it is of the part that begins when the result is signed off."""
        return bool(self.params.get("section") == SWITCH)


class Order(models.Model):
    """Something a person asked of a rollout: written at once, honoured by the engine, then reported.

    `reach` is {"since", "targets": [{"service", "kind", "workload", "act", "state", "message"}]} where it
    goes to workloads in the cluster as well, see `reaching`.
    """

    rollout = models.ForeignKey(Rollout, models.CASCADE, related_name="orders")
    kind = models.CharField(max_length=10, choices=OrderKind.choices)
    step = models.ForeignKey(Step, models.CASCADE, null=True, related_name="orders")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    door = models.CharField(max_length=10)
    reason = models.TextField(blank=True)
    trace = models.CharField(max_length=32, blank=True, db_default="")
    asked_at = models.DateTimeField()
    honoured_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=250, blank=True)
    reach = models.JSONField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=OrderKind.values), name="rollouts_order_kind")
        ]
        indexes = [
            models.Index(fields=["rollout"], condition=Q(honoured_at=None), name="rollouts_open_orders")
        ]
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.rollout_id}"


class QueuePlace(models.Model):
    """A start that waits for its turn: another rollout has its services, or the environment is full.

    `asked_at` and the key give the order. `door` is the one behind which it was asked for: "hook" where an
    event did, "" where an older portal queued it. The release stays approved meanwhile; every rule is asked
    again when its turn comes. `why` is the reason as `sentences.kept` gives it.
    """

    MOVES: ClassVar[dict[str, frozenset[str]]] = PLACE_MOVES
    KIND: ClassVar[str] = "place"
    ACCESS_VIA: ClassVar[str] = "environment"

    release = models.ForeignKey(Release, models.CASCADE, related_name="queue_places")
    environment = models.ForeignKey(Environment, models.CASCADE, related_name="queue_places")
    state = models.CharField(max_length=12, choices=PlaceState.choices, default=PlaceState.QUEUED)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    asked_at = models.DateTimeField()
    door = models.CharField(max_length=10, blank=True, db_default="")
    rollout = models.ForeignKey(Rollout, models.SET_NULL, null=True, related_name="+")
    reason = models.TextField(blank=True)
    why = models.JSONField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=PlaceState.values), name="rollouts_place_state"),
            models.UniqueConstraint(
                fields=["release"], condition=Q(state=PlaceState.QUEUED), name="rollouts_one_place"
            ),
        ]
        indexes = [
            models.Index(
                fields=["environment", "id"], condition=Q(state=PlaceState.QUEUED), name="rollouts_queue"
            )
        ]
        ordering = ["id"]

    def __str__(self) -> str:
        return f"place {self.pk}"


class Pin(models.Model):
    """After a rollback no automation rolls this service forward until someone lifts the pin with a reason."""

    ACCESS_VIA: ClassVar[str] = "environment"

    service = models.ForeignKey(Service, models.CASCADE, related_name="pins")
    environment = models.ForeignKey(Environment, models.CASCADE, related_name="pins")
    rollout = models.ForeignKey(Rollout, models.CASCADE, related_name="pins")
    set_at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    lift_reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["service", "environment"], condition=Q(lifted_at=None), name="rollouts_one_pin"
            )
        ]

    def __str__(self) -> str:
        return f"{self.service_id}@{self.environment_id}"


class Finding(models.Model):
    """Something that runs and was approved by nobody: one row from when it is seen until it is settled.

    `differences` are those of `findings.differences`, each with who last wrote the field and when, as far as
    the cluster knows; `mark` tells this set of them from any other, so that a person settles what they saw.
    """

    MOVES: ClassVar[dict[str, frozenset[str]]] = FINDING_MOVES
    KIND: ClassVar[str] = "finding"
    ACCESS_VIA: ClassVar[str] = "environment"

    service = models.ForeignKey(Service, models.CASCADE, related_name="findings")
    environment = models.ForeignKey(Environment, models.CASCADE, related_name="findings")
    state = models.CharField(max_length=12, choices=FindingState.choices, default=FindingState.OPEN)
    differences = models.JSONField(default=list)
    mark = models.CharField(max_length=64)
    opened_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    reason = models.TextField(blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    put_back_by = models.ForeignKey(Release, models.SET_NULL, null=True, related_name="puts_back")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=FindingState.values), name="rollouts_finding_state"),
            models.UniqueConstraint(
                fields=["service", "environment"],
                condition=Q(state__in=sorted(STANDING)),
                name="rollouts_one_standing_finding",
            ),
        ]
        indexes = [models.Index(fields=["environment", "-id"], name="rollouts_findings")]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"finding {self.pk}"


class WatchLead(models.Model):
    """Which watcher process leads for a cluster, and until when; with each word of it for so long again."""

    LASTS: ClassVar[timedelta] = timedelta(seconds=10)

    cluster = models.CharField(max_length=120, primary_key=True)
    owner = models.CharField(max_length=80)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.cluster}: {self.owner}"
