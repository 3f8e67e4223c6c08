"""States of rollouts, steps and orders (screens.md 3.3; product.md, "What a rollout can do")."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class RolloutState(models.TextChoices):
    """Where a rollout stands."""

    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    PAUSED = "paused", _("paused")
    VERIFYING = "verifying", _("verifying")
    AWAITING_SIGNOFF = "awaiting_signoff", _("awaiting sign-off")
    SWITCHING = "switching", _("switching")
    STOPPING = "stopping", _("stopping")
    STOPPED = "stopped", _("stopped")
    FAILED = "failed", _("failed")
    SUCCEEDED = "succeeded", _("succeeded")
    ROLLING_BACK = "rolling_back", _("rolling back")
    ROLLED_BACK = "rolled_back", _("rolled back")
    ROLLBACK_FAILED = "rollback_failed", _("rollback failed")


R = RolloutState
ACTIVE = frozenset(
    {R.QUEUED, R.RUNNING, R.VERIFYING, R.AWAITING_SIGNOFF, R.SWITCHING, R.STOPPING, R.ROLLING_BACK}
)
# A step may look at the cluster in these; while the result is signed off none does.
WATCHED = ACTIVE - {R.AWAITING_SIGNOFF} | {R.PAUSED}
# The section of the steps that begin when the result is signed off.
SWITCH = "switch"
# Something may begin only in these.
MOVING = frozenset({R.RUNNING, R.VERIFYING, R.SWITCHING, R.ROLLING_BACK})
# Nothing begins in these until a person says so: what changes meanwhile is none of its doing.
AT_REST = frozenset({R.AWAITING_SIGNOFF, R.PAUSED, R.FAILED})
# Where one came to stand that did not end well: what it leaves behind is for people to settle.
LEFT = frozenset({R.FAILED, R.STOPPED, R.ROLLBACK_FAILED})
# What differs meanwhile may be its doing; a stopped one has left its services to themselves.
EXPLAINS = ACTIVE | {R.PAUSED, R.FAILED}
# Who comes here counts as a failed change in the reports.
WENT_WRONG = frozenset({R.FAILED, R.ROLLING_BACK})
ROLLOUT_MOVES: dict[str, frozenset[str]] = {
    R.QUEUED: frozenset({R.RUNNING, R.STOPPING, R.STOPPED, R.PAUSED, R.FAILED, R.ROLLING_BACK}),
    R.RUNNING: frozenset({R.PAUSED, R.VERIFYING, R.STOPPING, R.FAILED, R.SUCCEEDED, R.ROLLING_BACK}),
    R.PAUSED: frozenset(
        {
            R.RUNNING,
            R.VERIFYING,
            R.SWITCHING,
            R.STOPPING,
            R.STOPPED,
            R.FAILED,
            R.ROLLING_BACK,
            R.ROLLBACK_FAILED,
        }
    ),
    R.VERIFYING: frozenset(
        {
            R.PAUSED,
            R.RUNNING,
            R.AWAITING_SIGNOFF,
            R.SWITCHING,
            R.STOPPING,
            R.FAILED,
            R.SUCCEEDED,
            R.ROLLING_BACK,
        }
    ),
    # Verified, with a part that begins when the result is signed off.
    R.AWAITING_SIGNOFF: frozenset({R.SWITCHING, R.STOPPING, R.ROLLING_BACK}),
    R.SWITCHING: frozenset({R.PAUSED, R.STOPPING, R.FAILED, R.SUCCEEDED, R.ROLLING_BACK}),
    R.STOPPING: frozenset({R.STOPPED, R.ROLLING_BACK}),
    R.STOPPED: frozenset({R.ROLLING_BACK}),
    R.FAILED: frozenset({R.RUNNING, R.VERIFYING, R.SWITCHING, R.STOPPING, R.STOPPED, R.ROLLING_BACK}),
    # A clean-up that did not go well can be tried again.
    R.SUCCEEDED: frozenset({R.ROLLING_BACK, R.RUNNING, R.SWITCHING}),
    R.ROLLING_BACK: frozenset({R.ROLLED_BACK, R.ROLLBACK_FAILED, R.PAUSED}),
    R.ROLLBACK_FAILED: frozenset({R.ROLLING_BACK}),
    R.ROLLED_BACK: frozenset(),
}


class StepState(models.TextChoices):
    """Where a step stands: failed is measured bad, errored not measurable, inconclusive neither."""

    WAITING = "waiting", _("waiting")
    READY = "ready", _("ready")
    RUNNING = "running", _("running")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    ERRORED = "errored", _("errored")
    INCONCLUSIVE = "inconclusive", _("inconclusive")
    CANCELLED = "cancelled", _("cancelled")
    SKIPPED = "skipped", _("skipped")
    UNDONE = "undone", _("undone")


P = StepState
DONE = frozenset({P.SUCCEEDED, P.SKIPPED, P.UNDONE})
TROUBLED = frozenset({P.FAILED, P.ERRORED, P.INCONCLUSIVE})
STEP_MOVES: dict[str, frozenset[str]] = {
    # A step that only looks begins in the moment it could be ready.
    P.WAITING: frozenset({P.READY, P.RUNNING, P.CANCELLED, P.SKIPPED}),
    P.READY: frozenset({P.RUNNING, P.CANCELLED, P.SKIPPED, P.WAITING}),
    P.RUNNING: frozenset({P.SUCCEEDED, P.FAILED, P.ERRORED, P.INCONCLUSIVE, P.CANCELLED, P.SKIPPED}),
    P.SUCCEEDED: frozenset({P.UNDONE}),
    P.FAILED: frozenset({P.READY, P.SKIPPED, P.CANCELLED, P.UNDONE}),
    P.ERRORED: frozenset({P.READY, P.SKIPPED, P.CANCELLED, P.UNDONE}),
    P.INCONCLUSIVE: frozenset({P.READY, P.SKIPPED, P.CANCELLED, P.SUCCEEDED, P.UNDONE}),
    P.CANCELLED: frozenset({P.READY, P.WAITING, P.UNDONE}),
    P.SKIPPED: frozenset({P.UNDONE}),
    P.UNDONE: frozenset(),
}


class OrderKind(models.TextChoices):
    """What a person can ask of a rollout."""

    PAUSE = "pause", _("Pause")
    RESUME = "resume", _("Resume")
    STOP = "stop", _("Stop")
    ROLLBACK = "rollback", _("Roll back")
    RETRY = "retry", _("Retry")
    SKIP = "skip", _("Skip")


class Direction(models.TextChoices):
    """Forward to the approved content, or back to what ran before."""

    FORWARD = "forward", _("forward")
    BACK = "back", _("back")


# What became of an order: it may also have asked for what was so already.
HONOURED, ALREADY, REFUSED = "honoured", "already", "refused"
# Orders after which nothing new may begin.
HALTING_ORDERS = frozenset({OrderKind.PAUSE, OrderKind.STOP, OrderKind.ROLLBACK})
# After these a rollout that stood at an end moves again, and needs its services for itself as at its start.
GOES_ON = frozenset({OrderKind.RETRY, OrderKind.SKIP, OrderKind.ROLLBACK})


class PlaceState(models.TextChoices):
    """What became of a start that had to wait."""

    QUEUED = "queued", _("queued")
    BEGUN = "begun", _("begun")
    GIVEN_BACK = "given_back", _("given back")
    CANCELLED = "cancelled", _("cancelled")


PLACE_MOVES: dict[str, frozenset[str]] = {
    PlaceState.QUEUED: frozenset({PlaceState.BEGUN, PlaceState.GIVEN_BACK, PlaceState.CANCELLED}),
    PlaceState.BEGUN: frozenset(),
    PlaceState.GIVEN_BACK: frozenset(),
    PlaceState.CANCELLED: frozenset(),
}


class FindingState(models.TextChoices):
    """What became of an unapproved change (product.md, "What a rollout can do")."""

    OPEN = "open", _("open")
    EXPLAINED = "explained", _("explained")
    ADOPTED = "adopted", _("adopted")
    ENDED = "ended", _("ended")


F = FindingState
# Something differs still; of these there is one at most for a service and an environment.
STANDING = frozenset({F.OPEN, F.EXPLAINED})
FINDING_MOVES: dict[str, frozenset[str]] = {
    F.OPEN: frozenset({F.EXPLAINED, F.ADOPTED, F.ENDED}),
    F.EXPLAINED: frozenset({F.ADOPTED, F.ENDED}),
    F.ADOPTED: frozenset(),
    F.ENDED: frozenset(),
}
