"""advance(): carries a rollout as far as it can go now, and never waits.

The rows are the truth. An advance may be lost, doubled, late or killed half-way: every write asks for the
lease again, an intent is committed before the act, the act is made outside any transaction and found again by
its mark, and what was seen is written after it. Waiting is a row that says until when.
"""

from __future__ import annotations

import contextlib
import random
import time
from datetime import datetime, timedelta
from functools import partial

from portal import clock, jobs, trace
from portal.actors import Actor
from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.errors import CONFLICT
from portal.statements import save
from releases.rollouts import gates, leases, orders, outcomes, settling, signing, stop_points, stumbles
from releases.rollouts.course import Course
from releases.rollouts.events import tell_step
from releases.rollouts.leases import Lease, LeaseLost, OfANewerPortal, OrdersWait
from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import ACTIVE, MOVING, RolloutState, StepState
from releases.rollouts.steps import measurement
from releases.rollouts.steps.kind import ActingKind, Change, Found, Json, Outcome, Work, with_earlier
from releases.rollouts.steps.kinds import KINDS

ENGINE = Actor.portal("rollout engine")
# One job goes on for so long at most; then it hands over to the next one.
BUDGET_SECONDS = 20.0
# A rollout in progress is looked at again after this time whatever happens.
FLOOR_SECONDS = 30.0
# One that waits for people is woken by what they do; it is looked at for what nobody thought of.
PEOPLE_SECONDS = 900.0
# What only a newer worker can carry out is offered again after this time.
LEFT_SECONDS = 2.0
# An order on its way to a canary is looked after again after this time.
REACH_SECONDS = 0.5
# Looks that take longer than this are not kept waiting for the others before they are written.
WRITE_SECONDS = 0.5
# So many workloads are read as one collection when they are looked at together.
MANY = 3


def advance(rollout_id: int) -> None:
    """Honour what was asked, start what is ready, look at what runs, and say when to look again."""
    lease = leases.take(rollout_id)
    if lease is None:
        return
    # A round is short, and every write reads the time anew with the lease.
    this = trace.following(lease.rollout.trace, rollout=rollout_id)
    with contextlib.suppress(LeaseLost), clock.counting_on(lease.taken_at), this:
        try:
            _go_on(lease)
        except OfANewerPortal:
            leases.leave(lease, seconds=LEFT_SECONDS)


def _go_on(lease: Lease) -> None:
    course = Course(lease)
    _require_known(course)
    if lease.dead:
        stumbles.after_death(lease, actor=ENGINE)
        lease.dead = ""
        course = Course(lease)
    _advance(course)


def _require_known(course: Course) -> None:
    """Raise where there is a state or a kind of step that this worker does not know.

    While a version is brought out old workers run beside new ones: they leave such a rollout to these.

    Raises:
        OfANewerPortal: there is.
    """
    known = course.rollout.state in Rollout.MOVES
    if not known or any(each.kind not in KINDS or each.state not in Step.MOVES for each in course.steps):
        raise OfANewerPortal


def _floor(state: str) -> float:
    """When a rollout is looked at again in any case; spread, or those that began together stay together."""
    if state != RolloutState.AWAITING_SIGNOFF:
        return FLOOR_SECONDS
    return PEOPLE_SECONDS * random.uniform(0.5, 1.0)  # noqa: S311  spreads looks only


def broke_off(rollout_id: int, failure: jobs.Failure) -> None:
    """Count a round of this process that raised; see `stumbles`."""
    with contextlib.suppress(LeaseLost):
        stumbles.after_failure(rollout_id, failure, actor=ENGINE)


def _advance(course: Course) -> None:
    lease, ends_at = course.lease, time.monotonic() + BUDGET_SECONDS
    while True:
        this = Pass(course, ends_at=ends_at)
        this.run()
        course = this.course
        late = time.monotonic() > ends_at
        if leases.release(lease, wake_at=clock.now if late else this.next_look, yielding=late):
            break
    if late:
        jobs.enqueue("releases.rollouts.jobs.advance", lease.rollout_id)


class Pass:
    """One walk through a rollout until nothing more can be done at this moment."""

    def __init__(self, course: Course, *, ends_at: float) -> None:
        self.lease = course.lease
        self.ends_at = ends_at
        self.course = course
        if self.lease.heard != self.lease.rollout.nudges:
            self._hear()
        self.looked: set[int] = set()
        self.left: set[int] = set()
        self.listed: dict[str, list[Json]] = {}

    def run(self) -> None:
        """Walk until nothing changes any more."""
        while time.monotonic() < self.ends_at:
            if self.lease.heard != self.lease.rollout.nudges:
                self._hear()
            try:
                if not self._walk():
                    return
            except OrdersWait:
                if self.lease.reaching:
                    return

    def next_look(self) -> datetime | None:
        """When somebody must look again if nothing happens meanwhile."""
        state = self.lease.rollout.state
        if state not in {*ACTIVE, RolloutState.PAUSED}:
            return None
        running = [each for each in self.course.steps if each.state == StepState.RUNNING]
        times = [each.wake_at for each in running if each.wake_at is not None]
        if state != RolloutState.PAUSED:
            times.append(clock.now() + timedelta(seconds=_floor(state)))
        if self.lease.reaching:
            times.append(clock.now() + timedelta(seconds=REACH_SECONDS))
        return min(times, default=None)

    def _hear(self) -> None:
        """Honour what was asked, and read how the steps stand after it."""
        waiting = orders.waiting(self.lease)
        self.lease.reaching = not orders.honour(self.lease, waiting, actor=ENGINE)
        leases.say_at(self.lease, "")
        if waiting:
            self.course = Course(self.lease)

    def _begin(self) -> bool:
        with self.course.writing(halts=True) as rollout:
            if rollout.state == RolloutState.QUEUED:
                settling.start(rollout, actor=ENGINE)
                settling.make_ready(self.course, actor=ENGINE)
        return True

    def _walk(self) -> bool:
        state = self.lease.rollout.state
        if state == RolloutState.QUEUED:
            return self._begin()
        if state == RolloutState.AWAITING_SIGNOFF:
            return signing.heed(self.course, actor=ENGINE)
        if state not in {*MOVING, RolloutState.PAUSED}:
            return False
        self.listed = {}
        progressed = state in MOVING and self._begin_looks()
        progressed |= self._act_all()
        progressed |= self._look_all()
        leases.say_at(self.lease, "")
        return settling.settle(self.course, actor=ENGINE) or progressed

    def _work(self, step: Step, *, many: bool = False) -> Work:
        rollout = self.lease.rollout
        return Work(
            step=step,
            release=rollout.release,
            environment=rollout.environment,
            items=self.course.items,
            rollout=rollout,
            siblings=self.course.steps,
            listed=self.listed,
            many=many,
            beat=partial(leases.keep, self.lease),
        )

    def _due(self, step: Step) -> bool:
        """Each running step is looked at once per nudge; one that backs off only when its time has come."""
        if step.pk in self.left:
            return False
        if step.pk not in self.looked and not step.tries:
            return True
        return step.wake_at is None or step.wake_at <= clock.now()

    def _looks(self, step: Step) -> bool:
        unwritten = KINDS[step.kind].acts and step.acted is None
        return step.state == StepState.RUNNING and not unwritten

    def _begin_looks(self) -> bool:
        """Begin ready steps that only look; most began in the transaction that made them ready."""
        ready = [step for step in self.course.present if self._waits_for_look(step)]
        if not ready:
            return False
        with self.course.writing(halts=True):
            return bool(settling.begin_looks(self.course, ready, actor=ENGINE))

    def _waits_for_look(self, step: Step) -> bool:
        return step.state == StepState.READY and settling.only_looks(step)

    def _look_all(self) -> bool:
        """Look at steps one after the other, and write what was seen together, or after a while."""
        progressed = False
        seen: list[tuple[Step, Outcome]] = []
        since = time.monotonic()
        due = [each for each in self.course.present if self._looks(each) and self._due(each)]
        many = len(due) >= MANY
        if many:
            self.listed = {}  # what was read for the acts may be older than what they have changed
        for step in due:
            self.looked.add(step.pk)
            leases.keep(self.lease)
            leases.say_at(self.lease, f"step:{step.pk}")
            seen.append((step, self._look(self._work(step, many=many))))
            if time.monotonic() - since > WRITE_SECONDS:
                progressed |= outcomes.write(self.course, seen, actor=ENGINE)
                seen, since = [], time.monotonic()
        return outcomes.write(self.course, seen, actor=ENGINE) or progressed

    def _look(self, work: Work) -> Outcome:
        try:
            return KINDS[work.step.kind].observe(work)
        except (TemporaryError, PermanentError) as error:
            return self._of_error(work, error, acting=False)

    def _of_error(self, work: Work, error: TemporaryError | PermanentError, *, acting: bool) -> Outcome:
        """What an error comes to: one in an act fails the step, one in a look leaves it unmeasured."""
        if isinstance(error, PermanentError):
            return outcomes.of_refusal(error) if acting else measurement.refused(error, unread=True)
        return outcomes.of_temporary(work.step, error, acting=acting, now=clock.now())

    def _act_all(self) -> bool:
        """Carry out the writes that are due; what other waves left is looked at once for all of them."""
        progressed = False
        asked: set[int] = set()
        for step in self.course.present:
            if not KINDS[step.kind].acts or step.acted is not None:
                continue
            work = self._work(step)
            if step.state == StepState.READY and self.lease.rollout.state in MOVING:
                leases.say_at(self.lease, f"step:{step.pk}")
                held = None if step.wave in asked else gates.before_start(work)
                asked.add(step.wave)
                if held is not None:
                    return outcomes.hold_rollout(self.course, step, held, actor=ENGINE)
            elif step.state != StepState.RUNNING or not self._due(step):
                continue
            progressed |= self._act(work)
        return progressed

    def _act(self, work: Work) -> bool:
        """Carry out the one write of a step; False while the rollout may not act.

        Raises:
            OrdersWait: a halt was asked for after the look and before the act.
        """
        step, kind = work.step, KINDS[work.step.kind]
        assert isinstance(kind, ActingKind)
        self.looked.add(step.pk)
        leases.say_at(self.lease, f"step:{step.pk}")
        for first in (not step.tries, False):
            try:
                prepared = kind.prepare(work)
                if not self._begin_act(step, prepared):
                    return False
                if isinstance(prepared, Outcome):
                    return outcomes.write(self.course, [(step, prepared)], actor=ENGINE)
                if isinstance(prepared, Found):
                    return self._acted(work, prepared.acted, changes=[])
                stop_points.reach("before_act", kind=step.kind)
                acted, changes = kind.act(work, prepared), prepared.changes
                break
            except (TemporaryError, PermanentError) as error:
                if error.code != CONFLICT or not first:
                    return self._failed_act(work, error)
                # A controller wrote meanwhile, as it does while pods come and go: read again, and at once.
                work.listed.clear()
        stop_points.reach("after_act", kind=step.kind)
        return self._acted(work, acted, changes=changes)

    def _failed_act(self, work: Work, error: TemporaryError | PermanentError) -> bool:
        outcome = self._of_error(work, error, acting=True)
        return self._begin_act(work.step, outcome) and outcomes.write(
            self.course, [(work.step, outcome)], actor=ENGINE
        )

    def _begin_act(self, step: Step, prepared: Change | Found | Outcome) -> bool:
        """Commit that the step runs and, where it is about to write, what it will write."""
        if step.state == StepState.RUNNING and not isinstance(prepared, Change):
            return True
        with self.course.writing(halts=True) as rollout:
            if rollout.state not in MOVING or step.state not in {StepState.READY, StepState.RUNNING}:
                return False
            if isinstance(prepared, Change) and not self._may_begin(step, rollout):
                return False
            self._commit(step, rollout, prepared.changes if isinstance(prepared, Change) else None)
        if isinstance(prepared, Change):
            stop_points.reach("after_intent", kind=step.kind)
        return True

    def _may_begin(self, step: Step, rollout: Rollout) -> bool:
        """Ask under the lock of the intent; pause where the write may not begin now."""
        held = gates.refused(step, siblings=self.course.steps, actor=ENGINE)
        if held is not None:
            outcomes.pause_rollout(rollout, step, held, actor=ENGINE)
        return held is None

    def _commit(self, step: Step, rollout: Rollout, changes: list[Json] | None) -> None:
        fields: list[str] = []
        if changes is not None:
            changes = with_earlier((step.intent or {}).get("changes", []), changes)
            step.intent = {"changes": changes, "epoch": self.lease.epoch, "at": clock.now()}
            step.planned = {"changes": changes}
            fields = ["intent", "planned"]
        if step.state == StepState.READY:
            settling.begin(rollout, step, actor=ENGINE, fields=fields)
        else:
            save(step, fields)

    def _acted(self, work: Work, acted: Json, *, changes: list[Json]) -> bool:
        """Write down the act together with what it came to."""
        step = work.step
        step.acted = acted
        outcome = self._look(work)
        with self.course.writing():
            step.acted_at = clock.now()
            # A write found from an earlier start still needs its intent, or the way back would miss it.
            step.intent = step.intent or {"changes": changes, "epoch": self.lease.epoch, "at": clock.now()}
            outcomes.record_act(step, acted, actor=ENGINE)
            tell_step(step, "acted", changes=step.intent.get("changes", []))
            stop_points.reach("before_record", kind=step.kind)
            fields = ("acted", "acted_at", "intent")
            outcomes.put(self.course, step, outcome, actor=ENGINE, fields=fields)
        stop_points.reach("after_record", kind=step.kind)
        if changes:
            self._leave_to_watch(since=step.acted_at)
        return True

    def _leave_to_watch(self, since: datetime) -> None:
        """What was changed a moment ago is not done yet: a watch tells when there is something to see."""
        self.left.update(
            each.pk
            for each in self.course.present
            if KINDS[each.kind].is_told and each.started_at is not None and each.started_at >= since
        )
