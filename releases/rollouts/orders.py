"""What people ask of a rollout, honoured by the engine under its lease, then reported."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet

from portal import clock, trace
from portal.actors import Actor
from portal.audit.record import record
from portal.live.publish import publish
from releases.rollouts import durations, outcomes, reaching, release_side, repeats, rollback, settling
from releases.rollouts.course import Course
from releases.rollouts.events import by, move_rollout, move_step
from releases.rollouts.leases import Lease, OfANewerPortal, say_at, writing
from releases.rollouts.models import Order, Rollout, Step
from releases.rollouts.states import (
    ALREADY,
    HONOURED,
    MOVING,
    REFUSED,
    TROUBLED,
    Direction,
    OrderKind,
    RolloutState,
    StepState,
)
from releases.rollouts.steps.kind import Json
from releases.rollouts.steps.kinds import KINDS
from releases.states import ENDS, ReleaseState

R = RolloutState
# From which states an order can be honoured; asked again at the moment of honouring.
POSSIBLE: dict[str, frozenset[str]] = {
    OrderKind.PAUSE: frozenset({R.QUEUED, R.RUNNING, R.VERIFYING, R.SWITCHING, R.ROLLING_BACK}),
    OrderKind.RESUME: frozenset({R.PAUSED}),
    OrderKind.STOP: frozenset(
        {
            R.QUEUED,
            R.RUNNING,
            R.VERIFYING,
            R.AWAITING_SIGNOFF,
            R.SWITCHING,
            R.PAUSED,
            R.FAILED,
            R.STOPPING,
            R.ROLLING_BACK,
        }
    ),
    OrderKind.ROLLBACK: frozenset(
        {
            R.QUEUED,
            R.RUNNING,
            R.VERIFYING,
            R.AWAITING_SIGNOFF,
            R.SWITCHING,
            R.PAUSED,
            R.FAILED,
            R.STOPPING,
            R.STOPPED,
            R.SUCCEEDED,
            R.ROLLBACK_FAILED,
        }
    ),
    OrderKind.RETRY: frozenset({R.FAILED, R.PAUSED, R.ROLLBACK_FAILED}),
    OrderKind.SKIP: frozenset({R.RUNNING, R.VERIFYING, R.SWITCHING, R.FAILED, R.PAUSED, R.ROLLBACK_FAILED}),
}
# A clean-up that did not go well is tried again also while the rollout goes on, and after its end.
TIDIED_IN = frozenset({R.RUNNING, R.VERIFYING, R.SWITCHING, R.SUCCEEDED})
# Not measured bad: after a look a resume tries it again.
UNCLEAR = frozenset({StepState.ERRORED, StepState.INCONCLUSIVE})
SKIPPABLE = TROUBLED | {StepState.WAITING, StepState.READY, StepState.RUNNING, StepState.CANCELLED}


def is_possible(rollout: Rollout, kind: str, step: Step | None = None, *, way: Direction) -> bool:
    """Whether an order can be honoured where the rollout stands, and asks for what is not so already."""
    if repeats.is_so(rollout, kind, way=way):
        return False
    tidies = kind == OrderKind.RETRY and step is not None and step.is_warning
    return rollout.state in POSSIBLE[kind] or (tidies and rollout.state in TIDIED_IN)


def is_closed(rollout: Rollout) -> bool:
    """Whether its release was closed over its failure, be it since an order: nothing goes on any more."""
    return rollout.state == R.FAILED and rollout.release.state in ENDS


def left_open(steps: Iterable[Step]) -> Step | None:
    """Return a Job that came to no clear end: a person takes it for good, or asks for it once more."""
    unclear = (each for each in steps if each.state in UNCLEAR and _is_done_once(each))
    return next((each for each in unclear if each.acted is None or not _is_unseen(each)), None)


def _is_done_once(step: Step) -> bool:
    kind = KINDS.get(step.kind)  # none where a newer version of the portal wrote the row
    return kind is not None and kind.once


def _is_unseen(step: Step) -> bool:
    """Whether it was about to act, and nobody could look at what came of it."""
    failure = step.failure or {}
    return step.intent is not None and (
        bool(failure.get("unread")) or failure.get("code") in outcomes.BROKE_OFF
    )


def waiting(lease: Lease) -> list[int]:
    """Return which orders wait, the oldest first, and count as heard what was asked so far."""
    lease.heard = lease.rollout.nudges
    return list(_open(lease.rollout_id).values_list("pk", flat=True))


def honour(lease: Lease, orders: Iterable[int], *, actor: Actor) -> bool:
    """Carry out orders one after the other; False while one is still on its way to a canary.

    Raises:
        OfANewerPortal: one is of a kind, or goes to the cluster in a way, that this worker does not know; the
            others are carried out.
    """
    unknown = False
    for pk in orders:
        say_at(lease, f"order:{pk}")
        with writing(lease) as rollout:
            order = _open(rollout.pk).select_related("by").filter(pk=pk).first()
            if order is not None and (order.kind not in POSSIBLE or not reaching.is_known(order)):
                order, unknown = None, True
            if order is not None:
                _follow(rollout, order)
                if order.reach is None:
                    _honour(Course(lease), order, actor=actor)
        if order is not None and order.reach is not None and not _arrived(lease, order, actor=actor):
            return False
    if unknown:
        raise OfANewerPortal
    return True


def _arrived(lease: Lease, order: Order, *, actor: Actor) -> bool:
    """Go on with what an order does in the cluster, and report it once that is done or given up."""
    if not reaching.reach(lease, order):
        return False
    with writing(lease) as rollout:
        _end_stop(rollout, order, actor=_cause(order, actor))
        report(rollout, order, refusal="", actor=actor)
    return True


def break_off(rollout: Rollout, order: Order, *, code: str, told: str, actor: Actor) -> None:
    """Report an order at which the portal itself fails again and again, with the rollout locked.

    What it has changed in the portal stands, and ends: it is the cluster that was not reached.

    Args:
        told: what people may be shown of the fault.
    """
    if order.reach is None:
        report(rollout, order, refusal=code, actor=actor)
        return
    reaching.give_up(order, told)
    _end_stop(rollout, order, actor=_cause(order, actor))
    report(rollout, order, refusal="", actor=actor)


def _follow(rollout: Rollout, order: Order) -> None:
    """What is done from now on follows from this order."""
    rollout.trace = order.trace
    rollout.save(update_fields=["trace"])
    trace.turn_to(order.trace)


def _open(rollout_id: int) -> QuerySet[Order]:
    return Order.objects.filter(rollout=rollout_id, honoured_at=None).order_by("pk")


def _honour(course: Course, order: Order, *, actor: Actor) -> None:
    cause, way = _cause(order, actor), course.way
    if repeats.is_so(course.rollout, order.kind, way=way):
        _report_repeated(course.rollout, order, actor=cause)
        return
    possible = is_possible(course.rollout, order.kind, course.find(order.step_id), way=way)
    refusal = "" if possible and not is_closed(course.rollout) else "wrong_state"
    refusal = refusal or HONOURS[OrderKind(order.kind)](course, order, cause)
    targets = [] if refusal else _targets(course, order, way)
    if targets:
        order.reach = {"since": clock.now().isoformat(), "targets": targets}
        order.save(update_fields=["reach"])
        return
    _end_stop(course.rollout, order, actor=cause)
    report(course.rollout, order, refusal=refusal, actor=actor)


def _targets(course: Course, order: Order, way: Direction) -> list[Json]:
    """To which workloads an order goes as the steps stand after it: a way back has just been written.

    What leaves the rollout where it stands, such as a skip of what has not begun, lets nothing go.
    """
    if order.kind in reaching.LETS_GO and course.rollout.state not in MOVING:
        return []
    return reaching.targets(course.rollout, order.kind, Course(course.lease).steps, way=way)


def report(rollout: Rollout, order: Order, *, refusal: str, actor: Actor) -> None:
    """Write down that an order was honoured, or why it was not.

    Args:
        refusal: a code; empty where it was honoured.
    """
    name = REFUSED if refusal else HONOURED
    outcome = f"{REFUSED}: {refusal}" if refusal else HONOURED
    reached = {} if order.reach is None else {"reached": order.reach["targets"]}
    _close(rollout, order, name, outcome, actor=_cause(order, actor), **reached)


def _report_repeated(rollout: Rollout, order: Order, *, actor: Actor) -> None:
    """Write down that what an order asked for was so already, and which one had asked for it."""
    first = repeats.first_of(rollout, order.kind)
    asked = {} if first is None or first.by is None else by(Actor(user=first.by))
    outcome = ALREADY if first is None else f"{ALREADY}: order {first.pk}"
    told = {} if first is None else {"first": {"order": first.pk, **asked}}
    _close(rollout, order, ALREADY, outcome, actor=actor, **told)


def _close(rollout: Rollout, order: Order, name: str, outcome: str, *, actor: Actor, **told: Any) -> None:
    order.honoured_at, order.outcome = clock.now(), outcome
    order.save(update_fields=["honoured_at", "outcome"])
    data = {"order": order.pk, "kind": order.kind, "outcome": outcome, **told}
    subject, release = ("order", str(order.pk)), rollout.release_id
    record(f"order.{name}", actor=actor, subject=subject, after=data, reason=order.reason, release=release)
    publish(rollout.topic, f"rollout.order_{name}", {**data, **by(actor), "step": order.step_id})


def _cause(order: Order, actor: Actor) -> Actor:
    """Who asked, acting through the engine now."""
    return Actor(user=order.by, door=order.door, cause=f"order {order.pk}") if order.by else actor


def _pause(course: Course, order: Order, actor: Actor) -> str:
    if course.rollout.state == R.QUEUED:
        settling.start(course.rollout, actor=actor)
        settling.make_ready(course, actor=actor)
    return _hold(course, order, actor, code="person")


def _hold(course: Course, order: Order, actor: Actor, *, code: str) -> str:
    """Pause for who asked; of a way back without any step nothing is left that could wait."""
    if course.rollout.state == R.ROLLING_BACK and not course.present:
        return "wrong_state"
    reason = {"reason": code, "args": {"text": order.reason}}
    outcomes.pause_rollout(course.rollout, None, reason, actor=actor)
    return ""


def _resume(course: Course, order: Order, actor: Actor) -> str:
    refusal = _stands_against(course, actor)
    if not refusal and left_open(course.present):
        refusal = "job_open"
    if refusal:
        return refusal
    _accept_drift(course, order, actor=actor)
    _go_on(course, actor=actor)
    for step in course.present:
        if step.state in UNCLEAR:
            _again(step, actor=actor)
    settling.make_ready(course, actor=actor)
    return ""


def _stands_against(course: Course, actor: Actor) -> str:
    """The code of what forbids going forward again; a way back asks nobody."""
    release, switching = course.rollout.release, course.is_switching
    if course.way == Direction.FORWARD and release_side.missing_for(release, after_signoff=switching):
        return "not_approved"
    return _closed(course, actor)


def _closed(course: Course, actor: Actor) -> str:
    if course.way == Direction.BACK:
        return ""
    if release_side.closed_for(course.rollout.release, actor=actor):
        return "frozen"
    return "owed" if release_side.owed_for(course.rollout) else ""


def _renew_times(course: Course) -> None:
    """The clocks start anew: the time out of reach, or in the pause, was not the steps'."""
    for step in course.present:
        if step.state == StepState.RUNNING:
            step.deadline_at = clock.now() + timedelta(seconds=step.timeout_seconds)
            step.observed = {key: value for key, value in step.observed.items() if key != "lost_since"}
            step.tries, step.wake_at = 0, None
            step.save(update_fields=["deadline_at", "observed", "tries", "wake_at"])


def _stop(course: Course, order: Order, actor: Actor) -> str:
    rollout = course.rollout
    if course.way == Direction.BACK:
        # Half a way back is no place to end: it pauses, and goes on when someone says so.
        return _hold(course, order, actor, code="stop")
    # Where only a clean-up was tried again, the release has been carried out, and waits for its sign-off.
    ended = rollout.release.state == ReleaseState.AWAITING_SIGNOFF and rollout.state != R.AWAITING_SIGNOFF
    if rollout.state != R.STOPPING:
        move_rollout(rollout, R.STOPPING, actor=actor, reason=order.reason)
    outcomes.end_siblings(course, None, actor=actor)
    if not ended:
        release_side.follow(rollout.release, ReleaseState.FAILED, actor=actor, reason="stopped")
    return ""


def _end_stop(rollout: Rollout, order: Order, *, actor: Actor) -> None:
    """A stop ends when the last canary is reached, or there is none."""
    if order.kind == OrderKind.STOP and rollout.state == R.STOPPING:
        rollout.ended_at = clock.now()
        move_rollout(rollout, R.STOPPED, actor=actor, reason=order.reason, fields=["ended_at"])


def _rollback(course: Course, order: Order, actor: Actor) -> str:
    rollout = course.rollout
    if rollout.state == R.ROLLBACK_FAILED or course.way == Direction.BACK:
        return _rollback_again(course, actor)
    turn_back(course, actor=actor, reason=order.reason)
    return ""


def turn_back(course: Course, *, actor: Actor, reason: str) -> None:
    """End what runs forward, write the steps of the way back, and begin them; with the rollout locked."""
    rollout = course.rollout
    outcomes.end_siblings(course, None, actor=actor)
    release_side.follow(rollout.release, ReleaseState.ROLLING_BACK, actor=actor, reason=reason)
    rollout.ended_at = None
    durations.begin(rollout)
    move_rollout(rollout, R.ROLLING_BACK, actor=actor, reason=reason, fields=["ended_at"])
    rollback.add_way_back(rollout, course.steps)
    settling.make_ready(Course(course.lease), actor=actor)


def _rollback_again(course: Course, actor: Actor) -> str:
    rollout = course.rollout
    release_side.follow(rollout.release, ReleaseState.ROLLING_BACK, actor=actor)
    move_rollout(rollout, R.ROLLING_BACK, actor=actor)
    _renew_times(course)
    for step in course.present:
        if step.state in TROUBLED:
            _again(step, actor=actor)
    _revive(course, actor=actor)
    return ""


def _retry(course: Course, order: Order, actor: Actor) -> str:
    step = _step_of(course, order)
    if step is None or step.state not in TROUBLED | {StepState.CANCELLED}:
        return "wrong_state"
    refusal = _stands_against(course, actor)
    if refusal:
        return refusal
    if course.rollout.state == R.SUCCEEDED:
        _open_again(course.rollout, step, actor=actor)
    _go_on(course, actor=actor)
    # Who asked to restore once more has confirmed it: another look at the first one would not be that.
    _again(step, actor=actor, anew=step.is_restore)
    _revive(course, actor=actor)
    return ""


def _open_again(rollout: Rollout, step: Step, *, actor: Actor) -> None:
    """Only a clean-up is left to be tried; the release stays where its life has led it meanwhile."""
    rollout.ended_at = None
    state = R.SWITCHING if step.is_after_signoff else R.RUNNING
    move_rollout(rollout, state, actor=actor, fields=["ended_at"], event="resumed")


def _skip(course: Course, order: Order, actor: Actor) -> str:
    step = _step_of(course, order)
    if step is None or step.state not in SKIPPABLE:
        return "wrong_state"
    if course.rollout.state not in MOVING and (refusal := _closed(course, actor)):
        return refusal
    was_troubled = step.state in TROUBLED
    step.reason, step.ended_at, step.wake_at = order.reason, clock.now(), None
    if step.state == StepState.READY:
        step.started_at = step.ended_at  # its turn had come
    fields = ["reason", "started_at", "ended_at", "wake_at"]
    move_step(step, StepState.SKIPPED, actor=actor, reason=order.reason, fields=fields)
    if was_troubled:
        _go_on(course, actor=actor)
        _revive(course, actor=actor)
    elif course.rollout.state in MOVING:
        settling.make_ready(course, actor=actor)
    return ""


def _go_on(course: Course, *, actor: Actor) -> None:
    """From a pause or a failure back to moving, in the direction and section where it stood."""
    rollout = course.rollout
    if rollout.state in MOVING:
        return
    _renew_times(course)
    event = "resumed"
    rollout.ended_at = None
    fields = ["ended_at"]
    if course.way == Direction.BACK:
        release_side.follow(rollout.release, ReleaseState.ROLLING_BACK, actor=actor)
        move_rollout(rollout, R.ROLLING_BACK, actor=actor, fields=fields, event=event)
        return
    release_state, state = _forward_states(course)
    release_side.follow(rollout.release, release_state, actor=actor)
    move_rollout(rollout, state, actor=actor, fields=fields, event=event)


def _forward_states(course: Course) -> tuple[ReleaseState, RolloutState]:
    """In which part of the way forward it stands."""
    if course.is_switching:
        return ReleaseState.SWITCHING, R.SWITCHING
    ahead = {StepState.WAITING, StepState.READY}
    after = [each for each in course.steps if each.params.get("section") == "after"]
    verifying = any(each.state not in ahead for each in after)
    return (ReleaseState.VERIFYING, R.VERIFYING) if verifying else (ReleaseState.ROLLING_OUT, R.RUNNING)


def _again(step: Step, *, actor: Actor, anew: bool = False) -> None:
    """Make a new attempt of a step; the old one is kept.

    An act that was made and could not be looked at is only looked at again; one of which nobody knows whether
    it was made is found by its mark, which holds the attempt.

    Args:
        anew: the act is made once more even so.
    """
    stands = not anew and _is_unseen(step)
    attempt = {
        "attempt": step.attempt,
        "state": step.state,
        "failure": step.failure,
        "observed": step.observed,
        "started_at": step.started_at,
        "ended_at": step.ended_at,
    }
    step.history = [*step.history, attempt]
    step.attempt += not stands
    step.acted = step.acted if stands else None
    step.failure, step.observed, step.ended_at, step.wake_at, step.tries = None, {}, None, None, 0
    fields = ["history", "attempt", "failure", "observed", "acted", "ended_at", "wake_at", "tries"]
    move_step(step, StepState.READY, actor=actor, fields=fields)


def _revive(course: Course, *, actor: Actor) -> None:
    """What ended because a sibling failed goes on where it stood."""
    for step in course.present:
        if step.state == StepState.CANCELLED:
            # What it had begun is found again by its mark, and looked at anew; a Job may be gone by now.
            step.ended_at, step.acted = None, step.acted if _is_done_once(step) else None
            move_step(step, StepState.WAITING, actor=actor, fields=["ended_at", "acted"])
    settling.make_ready(course, actor=actor)


def _accept_drift(course: Course, order: Order, *, actor: Actor) -> None:
    """Who resumes after a foreign change has seen it and lets it pass; the record says who, and which."""
    pause = course.rollout.pause or {}
    step = course.find(pause.get("step"))
    if pause.get("reason") != "drift" or step is None:
        return
    drift = pause.get("args") or {}
    step.params = {**step.params, "accepted_drifts": [*(step.params.get("accepted_drifts") or []), drift]}
    step.save(update_fields=["params"])
    record(
        "drift.accepted",
        actor=actor,
        subject=("step", str(step.pk)),
        after={"key": step.key, "drift": drift},
        reason=order.reason,
        release=course.rollout.release_id,
        service=step.service.name if step.service else "",
    )


def _step_of(course: Course, order: Order) -> Step | None:
    step = course.find(order.step_id)
    return step if step is not None and step.direction == course.way else None


HONOURS: dict[OrderKind, Callable[[Course, Order, Actor], str]] = {
    OrderKind.PAUSE: _pause,
    OrderKind.RESUME: _resume,
    OrderKind.STOP: _stop,
    OrderKind.ROLLBACK: _rollback,
    OrderKind.RETRY: _retry,
    OrderKind.SKIP: _skip,
}
