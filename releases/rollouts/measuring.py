"""Measures on what a release rests on while people decide, with the kinds of step that measure.

A good or bad measurement changes a gate; a cluster out of reach is neither (product.md, "Failed, errored and
inconclusive are three things").
"""

from collections.abc import Sequence

from portal.actors import Actor
from portal.errors import Invalid
from portal.jobs import Failure
from portal.sentences import joined, kept
from releases import operations
from releases.catalog import watches
from releases.gates import Seen
from releases.models import Gate, GateResult
from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import Direction, StepState
from releases.rollouts.steps.kind import Outcome, Verdict, Work
from releases.rollouts.steps.kinds import KINDS
from releases.rollouts.steps.measurement import judged, look
from releases.rollouts.steps.watch import gates_of
from releases.states import ReleaseState

GATES = Actor.portal("gates")


def begin(rollout: Rollout) -> None:
    """Keep measuring what a rollout looked at last, while its locked release waits for its sign-off."""
    if rollout.release.state == ReleaseState.AWAITING_SIGNOFF:
        operations.open_gates(rollout.release, [_gate_of(step) for step in _looked_at(rollout)])


def _looked_at(rollout: Rollout) -> list[Step]:
    """The checks after the waves, and the gates of each service's last watch, as steps of their kinds."""
    forward = rollout.steps.filter(direction=Direction.FORWARD).select_related("service")
    steps = [step for step in forward.order_by("position", "id") if not step.is_after_signoff]
    last = {step.service_id: step for step in steps if step.kind == watches.KIND}
    after = [step for step in steps if step.params.get("section") == "after"]
    measured = {name for name, kind in KINDS.items() if kind.measures}
    looks = [*(gate for watch in last.values() for gate in gates_of(watch)), *after]
    return [step for step in looks if step.kind in measured]


def measure(gate_id: int) -> None:
    """Measure once what the sweep has claimed, and write down what was seen.

    What only a newer version of the portal can measure, while one is brought out, is left to its workers.
    """
    gate = _found(gate_id)
    if gate is not None and gate.kind not in KINDS:
        operations.leave_measurement(gate_id, claim=gate.due_at)
    elif gate is not None:
        seen = _seen(gate)
        operations.write_measurement(gate_id, seen, claim=gate.due_at, actor=GATES)


def broke_off(gate_id: int, failure: Failure) -> None:
    """A fault of our own is no measurement either; the page says so instead of showing an old result."""
    gate = _found(gate_id)
    if gate is not None:
        seen = Seen(
            result=GateResult.ERRORED,
            observed={"code": "measurement_broke_off", "args": {"incident": failure.incident}},
        )
        operations.write_measurement(gate_id, seen, claim=gate.due_at, actor=GATES)


def _found(gate_id: int) -> Gate | None:
    around = ("service", "release__environment__cluster", "release__plan")
    return Gate.objects.select_related(*around).filter(pk=gate_id).first()


def _seen(gate: Gate) -> Seen:
    """One look; what reckons with the steps to come cannot where the plan does not fit the release."""
    try:
        work = _work(gate)
    except Invalid as error:
        faults = kept(joined([fault["text"] for fault in error.missing], between="; "))
        failure = {"code": "plan_unfit", "message": faults}
        return Seen(result=GateResult.ERRORED, observed={"failure": failure})
    return look(KINDS[gate.kind], work)


def _gate_of(step: Step) -> Gate:
    """A gate that begins with what the step itself has seen; one that was skipped begins with nothing."""
    gate = Gate(
        key=step.key, position=step.position, kind=step.kind, params=step.params, service=step.service
    )
    if step.state == StepState.SUCCEEDED:
        seen = judged(Outcome(verdict=Verdict.DONE, observed=step.observed))
        gate.result, gate.observed = seen.result, seen.observed
        gate.since = gate.measured_at = step.ended_at
    return gate


def _work(gate: Gate) -> Work:
    """What a step of this kind would look at, at the end of the newest rollout."""
    release = gate.release
    rollout = release.rollouts.order_by("-pk").first()
    step = Step(rollout=rollout, key=gate.key, kind=gate.kind, service=gate.service, params=gate.params)
    return Work(
        step=step,
        release=release,
        environment=release.environment,
        items=release.items.select_related("service"),
        rollout=rollout,
        siblings=_siblings(gate, rollout),
    )


def _siblings(gate: Gate, rollout: Rollout | None) -> Sequence[Step]:
    """The steps of the newest rollout; before there is one, those that it will have."""
    # The dry run stands on the operations, whose engine begins the gates here.
    from releases.rollouts.plans import planned_steps  # noqa: PLC0415

    if rollout is not None:
        return list(rollout.steps.select_related("service").order_by("position", "id"))
    return planned_steps(gate.release) if KINDS[gate.kind].reckons else ()
