"""What this process did for rollouts, counted for Prometheus once it has committed."""

from django.db import transaction

from portal import counters
from releases.rollouts.models import Step
from releases.rollouts.states import TROUBLED, StepState

# A step that is tried again comes to a result again.
RESULTS = frozenset({StepState.SUCCEEDED, StepState.CANCELLED, StepState.SKIPPED}) | TROUBLED
# Of the others nobody knows how long they would have taken.
TIMED = TROUBLED | {StepState.SUCCEEDED}

results = counters.counter("step_results_total", "What steps came to", "kind", "outcome")
durations = counters.histogram(
    "step_duration_seconds",
    "How long steps took that came to an end of their own",
    "kind",
    limits=(0.1, 0.5, 2, 10, 30, 60, 120, 300, 600, 1800, 7200),
)
failures = counters.counter("step_failures_total", "Steps that ended in trouble, by what it was", "code")
takeovers = counters.counter(
    "lease_takeovers_total", "Rollouts taken over from a worker that died or was cut off"
)


def count_result(step: Step) -> None:
    """Count what a step came to, where it came to something, once this transaction has committed."""
    state = StepState(step.state)
    if state not in RESULTS:
        return
    kind, code = step.kind, _code(step) if state in TROUBLED else ""
    seconds = _seconds(step) if state in TIMED else None

    def count() -> None:
        results.labels(kind, str(state)).inc()
        if seconds is not None:
            durations.labels(kind).observe(seconds)
        if code:
            failures.labels(code).inc()

    transaction.on_commit(count)


def _code(step: Step) -> str:
    return str((step.failure or step.observed).get("code") or "unknown")


def _seconds(step: Step) -> float | None:
    if step.started_at is None or step.ended_at is None:
        return None
    return (step.ended_at - step.started_at).total_seconds()
