"""What a look at a step came to, written down: the step's state, its siblings', the rollout's."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.errors import CONFLICT, SERVER_ERROR, UNAVAILABLE, UNREACHABLE
from portal.outbox.post import post_all
from portal.sentences import kept
from portal.statements import save
from releases.rollouts import by_itself, lifting, release_side, rollback, settling
from releases.rollouts.course import UNFINISHED, Course
from releases.rollouts.events import move_rollout, move_step, tell_step
from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import MOVING, Direction, RolloutState, StepState
from releases.rollouts.steps.endings import STILL_ENDING
from releases.rollouts.steps.kind import Json, Outcome, Verdict, failed, hold, wait
from releases.states import ReleaseState

# A cluster out of reach is tried for this long at least, without a person (interface.md, "Settled").
LOST_SECONDS = 120
LONGEST_BACKOFF_SECONDS = 10.0
MOST_CONFLICTS = 10
MOST_SERVER_ERRORS = 4
# Where the portal itself gets no further.
PORTAL_ERROR, WORKER_DIED = "portal_error", "worker_died"
BROKE_OFF = frozenset({PORTAL_ERROR, WORKER_DIED})
AWAY = frozenset({UNREACHABLE, UNAVAILABLE})
# Kept from look to look, not shown: a change in them is no news.
INNER_KEYS = frozenset(
    {
        "sights",
        "baseline",
        "done_since",
        "done_restarts",
        "ready_since",
        "flaps",
        "tries",
        "lost_since",
        "good",
        "unclear",
        "views",
        "pending_since",
        "evidence",
        "unread",
    }
)
# What was seen last says what failed, past its time.
TOLD_AS_SEEN = frozenset(
    {
        "pods_not_running",
        "unhealthy",
        "health_no_pods",
        "digests_differ",
        "too_many_requests",
        "view_differs",
        "view_rebalances",
        "log_lacks",
    }
)
# What single kinds of acts leave behind besides images.
TOLD_OF_ACTS = ("job", "bounds", "selectors", "weights", "revision")


def of_temporary(step: Step, error: TemporaryError, *, acting: bool, now: datetime) -> Outcome:
    """Back off, within the step's deadline; refuse in the end what would only be repeated.

    Args:
        acting: whether it was met in a write, or on the way to it; a look that it keeps from seeing anything
            is not measured, however long it lasts.
    """
    words = kept(error.detail)
    tries = step.tries + 1
    if error.code == CONFLICT and acting and tries >= MOST_CONFLICTS:
        return failed("conflict", words)
    if error.code == SERVER_ERROR and acting and tries >= MOST_SERVER_ERRORS:
        return failed("server_error", words)
    first = step.observed.get("lost_since") or now.isoformat()
    limit = max(step.deadline_at or now, datetime.fromisoformat(first) + timedelta(seconds=LOST_SECONDS))
    if (error.code in AWAY or (error.code == SERVER_ERROR and not acting)) and now >= limit:
        return hold("cluster_lost", message=words, since=first)
    seconds = error.retry_in
    if error.code != CONFLICT:
        seconds = max(
            seconds if error.code not in AWAY else 0.0, min(0.5 * 2**tries, LONGEST_BACKOFF_SECONDS)
        )
    lost = {"lost_since": first} if error.code in {*AWAY, SERVER_ERROR} else {}
    unseen = {} if acting else {"unmeasured": True, "unread": True}
    return wait(error.code, seconds=seconds, args={"message": words}, tries=tries, **lost, **unseen)


def of_refusal(error: PermanentError) -> Outcome:
    """A write that is refused ends its step at once, in the refuser's own words."""
    return failed(error.code, kept(error.detail))


def write(course: Course, looks: Sequence[tuple[Step, Outcome]], *, actor: Actor) -> bool:
    """Write what looks at steps came to, all in one transaction; see `put`.

    A look that saw what was seen before leaves nothing to write but when to look again.
    """
    now = clock.now()
    news = [(step, outcome) for step, outcome in looks if not _same_again(step, outcome, now)]
    progressed = False
    if news:
        with course.writing():
            for step, outcome in news:
                progressed |= put(course, step, outcome, actor=actor)
    return progressed


def put(course: Course, step: Step, outcome: Outcome, *, actor: Actor, fields: Sequence[str] = ()) -> bool:
    """Put an outcome into the locked rows; True when something may have become possible by it.

    Args:
        fields: others of the step that changed with it.
    """
    if step.state != StepState.RUNNING:
        return False
    rollout = course.rollout
    now = clock.now()
    if outcome.verdict == Verdict.WAIT and _overdue(step, outcome, now):
        outcome = replace(_of_deadline(step, outcome), verdict_found=outcome.verdict_found)
    if outcome.verdict_found is not None:
        rollout.verdict = outcome.verdict_found
        save(rollout, ["verdict"])
    if outcome.verdict == Verdict.WAIT:
        _wait(step, outcome, now, fields=fields)
        return False
    if outcome.verdict == Verdict.HOLD:
        return _hold(rollout, step, outcome.hold or {}, now, actor=actor, fields=fields)
    if outcome.verdict == Verdict.DONE:
        _finish(course, step, outcome, now, actor=actor, fields=fields)
    else:
        _trouble(course, step, outcome, now, actor=actor, fields=fields)
    return True


def _same_again(step: Step, outcome: Outcome, now: datetime) -> bool:
    if outcome.verdict != Verdict.WAIT or step.tries or _overdue(step, outcome, now):
        return False
    if step.observed != outcome.observed or outcome.verdict_found is not None or "tries" in outcome.observed:
        return False
    step.wake_at = now + timedelta(seconds=outcome.wake_seconds)
    return True


def park(course: Course, step: Step, failure: Json, *, actor: Actor) -> None:
    """End a step at which the portal itself breaks off again and again, and hold the rollout for a person."""
    if step.state == StepState.READY:
        settling.begin(course.rollout, step, actor=actor)
    put(course, step, Outcome(verdict=Verdict.ERRORED, failure=failure), actor=actor)


def hold_rollout(course: Course, step: Step, reason: Json, *, actor: Actor) -> bool:
    """Pause before a step begins; True, as the walk should look at the rollout again."""
    with course.writing(halts=True) as rollout:
        if rollout.state in MOVING:
            pause_rollout(rollout, step, reason, actor=actor)
    return True


def record_act(step: Step, acted: Json, *, actor: Actor) -> None:
    """Put the act itself into the record: what was sent, what the cluster answered."""
    told = {name: acted[name] for name in TOLD_OF_ACTS if name in acted}
    after = {"images": acted.get("images"), "generation": acted.get("generation"), "key": step.key, **told}
    record(
        "step.acted",
        actor=actor,
        subject=("step", str(step.pk)),
        before={"changes": (step.intent or {}).get("changes", [])},
        after=after,
        release=step.rollout.release_id,
        service=step.service.name if step.service else "",
    )


def _overdue(step: Step, outcome: Outcome, now: datetime) -> bool:
    lost = "lost_since" in outcome.observed
    # What the pause itself holds in the cluster is not late by it; the resume renews its time.
    held = step.rollout.state == RolloutState.PAUSED and outcome.observed.get("code") == "waits_held"
    return step.deadline_at is not None and now >= step.deadline_at and not lost and not held


def _of_deadline(step: Step, outcome: Outcome) -> Outcome:
    seen = outcome.observed
    trouble, evidence = seen.get("trouble") or {}, seen.get("evidence") or {}
    if trouble:
        return failed(**{**evidence, **trouble}, args={"seconds": step.timeout_seconds})
    code = str(seen.get("code", ""))
    args = {**(seen.get("args") or {}), "seconds": step.timeout_seconds}
    if ending := seen.get("ending"):
        return failed(STILL_ENDING, args={**args, **ending, "waited_for": code})
    message = args.get("message") or ""
    if seen.get("undecided"):
        return Outcome(verdict=Verdict.INCONCLUSIVE, observed=seen)
    if seen.get("unmeasured"):
        unread = {"unread": True} if seen.get("unread") else {}
        failure = {"code": code, "message": message, "args": args, **unread}
        return Outcome(verdict=Verdict.ERRORED, observed=seen, failure=failure)
    known = code if code in TOLD_AS_SEEN else "timeout"
    counts = {key: seen[key] for key in ("ready", "wanted") if key in seen}
    told = {**evidence, "message": message or evidence.get("message", "")}
    return failed(known, **told, args={**args, **counts, "waited_for": code})


def _wait(step: Step, outcome: Outcome, now: datetime, *, fields: Sequence[str]) -> None:
    news = _visible(step.observed) != _visible(outcome.observed)
    step.observed = outcome.observed
    step.tries = int(outcome.observed.get("tries") or 0)
    step.wake_at = now + timedelta(seconds=outcome.wake_seconds)
    save(step, ["observed", "tries", "wake_at", *fields])
    if news:
        tell_step(step, "observed", observed=_visible(outcome.observed))


def _finish(
    course: Course, step: Step, outcome: Outcome, now: datetime, *, actor: Actor, fields: Sequence[str]
) -> None:
    step.observed, step.ended_at, step.wake_at, step.tries = outcome.observed, now, None, 0
    changed = ["observed", "ended_at", "wake_at", "tries", *fields]
    if outcome.before is not None:
        step.before = outcome.before
        changed.append("before")
    for other, params in outcome.resolved:
        other.params = {**other.params, **params}
        save(other, ["params"])
    post_all(outcome.messages)
    data = {"observed": _visible(outcome.observed), **_found_running(outcome)}
    move_step(step, StepState.SUCCEEDED, actor=actor, fields=changed, data=data)
    _undo(course, step, actor=actor)
    if course.rollout.state in MOVING:
        settling.make_ready(course, actor=actor)


def _undo(course: Course, step: Step, *, actor: Actor) -> None:
    """Mark what a step of the way back has taken back."""
    origin = course.find(step.undo_of_id)
    for each in course.steps:
        taken = each is origin or (origin is not None and rollback.is_taken_back_with(each, origin))
        if taken and each.intent is not None and StepState.UNDONE in each.MOVES[each.state]:
            move_step(each, StepState.UNDONE, actor=actor)


def _trouble(
    course: Course, step: Step, outcome: Outcome, now: datetime, *, actor: Actor, fields: Sequence[str]
) -> None:
    rollout = course.rollout
    step.failure, step.ended_at, step.wake_at = outcome.failure, now, None
    step.observed = {**step.observed, **outcome.observed}
    state = {
        Verdict.FAILED: StepState.FAILED,
        Verdict.ERRORED: StepState.ERRORED,
        Verdict.INCONCLUSIVE: StepState.INCONCLUSIVE,
    }[outcome.verdict]
    changed = ["failure", "observed", "ended_at", "wake_at", *fields]
    told = {key: value for key, value in (outcome.failure or {}).items() if key not in {"log", "events"}}
    cleanup = {"cleanup": True} if step.params.get("cleanup") else {}
    data = {"failure": told, **cleanup, **_found_running(outcome)}
    move_step(step, state, actor=actor, fields=changed, data=data)
    if step.is_warning:
        if rollout.state in MOVING:
            settling.make_ready(course, actor=actor)
        return
    if state != StepState.FAILED:
        pause_rollout(rollout, step, {"reason": str(state), "args": {"step": step.key}}, actor=actor)
        return
    end_siblings(course, step, actor=actor)
    if step.direction == Direction.BACK:
        settling.fail_back(rollout, actor=actor)
        return
    _fail(course, step, told, actor=actor)


def _fail(course: Course, step: Step, told: Json, *, actor: Actor) -> None:
    """End the rollout at a failed step; where its plan says so it goes back by itself, unless it is held."""
    rollout = course.rollout
    goes_back = by_itself.goes_back(course, step)
    held_by = by_itself.held_by(course) if goes_back else None
    held = {by_itself.HELD_BY: held_by} if held_by else {}
    if held:
        step.failure = {**(step.failure or {}), **held}
        save(step, ["failure"])
    code = str(told.get("code", ""))
    release_side.follow(rollout.release, ReleaseState.FAILED, actor=actor, reason=code)
    move_rollout(rollout, RolloutState.FAILED, actor=actor, data={"step": step.pk, "failure": told, **held})
    if goes_back and not held:
        by_itself.order_rollback(rollout, step, actor=actor)


def end_siblings(course: Course, step: Step | None, *, actor: Actor) -> None:
    """Nothing new starts and what runs ends its looking; the cluster's own work goes on as it will."""
    for each in course.steps:
        if each is step or each.state not in UNFINISHED:
            continue
        each.ended_at, each.wake_at = clock.now(), None
        move_step(each, StepState.CANCELLED, actor=actor, fields=["ended_at", "wake_at"])


def _hold(
    rollout: Rollout, step: Step, reason: Json, now: datetime, *, actor: Actor, fields: Sequence[str]
) -> bool:
    step.wake_at = now + timedelta(seconds=LONGEST_BACKOFF_SECONDS)
    step.tries = 1
    save(step, ["wake_at", "tries", *fields])
    if rollout.state not in MOVING:
        return False
    pause_rollout(rollout, step, reason, actor=actor)
    return True


def pause_rollout(rollout: Rollout, step: Step | None, reason: Json, *, actor: Actor) -> None:
    """Hold a moving rollout for a person; `reason` is {"reason", "args"}."""
    if rollout.state not in MOVING:
        return
    rollout.pause = pause = lifting.pause_of(reason, step=step, actor=actor)
    if rollout.state != RolloutState.ROLLING_BACK:
        release_side.follow(rollout.release, ReleaseState.PAUSED, actor=actor, reason=pause["reason"])
    move_rollout(
        rollout,
        RolloutState.PAUSED,
        actor=actor,
        reason=pause["reason"],
        fields=["pause"],
        data={"pause": pause},
    )


def _found_running(outcome: Outcome) -> Json:
    """What the nodes were found to run belongs into the record, not only into the rollout's row."""
    return {} if outcome.verdict_found is None else {"verdict": outcome.verdict_found}


def _visible(observed: Json) -> Json:
    return {key: value for key, value in observed.items() if key not in INNER_KEYS}
