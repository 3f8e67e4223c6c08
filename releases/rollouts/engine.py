"""advance(): carries a rollout as far as it can go now, and never waits.

The rows are the truth. An advance may be lost, doubled, late or killed half-way: every write asks for the
lease again, an intent is committed before the act, the act is made outside any transaction and found again by
its mark, and what was seen is written after it. Waiting is a row that says until when.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from portal import clock, jobs
from portal.actors import Actor
from portal.errors import PermanentError, TemporaryError
from releases.models import Item
from releases.rollouts import gates, leases, orders, outcomes, settling, stop_points
from releases.rollouts.events import move_rollout, tell_step
from releases.rollouts.leases import Lease, LeaseLost, OrdersWait, writing
from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import ACTIVE, MOVING, RolloutState, StepState
from releases.rollouts.steps.kind import Change, Found, Json, Outcome, Work
from releases.rollouts.steps.kinds import KINDS

ENGINE = Actor.portal("rollout engine")
# One job goes on for so long at most; then it hands over to the next one.
BUDGET_SECONDS = 20.0
# A rollout in progress is looked at again after this time whatever happens.
FLOOR_SECONDS = 15.0
# Looks that take longer than this are not kept waiting for the others before they are written.
WRITE_SECONDS = 0.5


def advance(rollout_id: int) -> None:
    """Honour what was asked, start what is ready, look at what runs, and say when to look again."""
    lease = leases.take(rollout_id)
    if lease is None:
        return
    with contextlib.suppress(LeaseLost):
        _advance(lease)


def _advance(lease: Lease) -> None:
    ends_at = time.monotonic() + BUDGET_SECONDS
    while True:
        Pass(lease, ends_at=ends_at).run()
        late = time.monotonic() > ends_at
        if leases.release(lease, wake_at=_next_look(lease.rollout_id, at_once=late), yielding=late):
            break
    if late:
        jobs.enqueue("releases.rollouts.jobs.advance", lease.rollout_id)


class Pass:
    """One walk through a rollout until nothing more can be done at this moment."""

    def __init__(self, lease: Lease, *, ends_at: float) -> None:
        self.lease = lease
        self.ends_at = ends_at
        self.looked: set[int] = set()
        self.items: list[Item] = []
        self.listed: dict[str, list[Json]] = {}

    def run(self) -> None:
        """Walk until nothing changes any more."""
        while time.monotonic() < self.ends_at:
            orders.honour(self.lease, actor=ENGINE)
            try:
                if not self._walk():
                    return
            except OrdersWait:
                continue

    def _begin(self) -> bool:
        with writing(self.lease, halts=True) as rollout:
            if rollout.state == RolloutState.QUEUED:
                rollout.started_at = clock.now()
                move_rollout(rollout, RolloutState.RUNNING, actor=ENGINE, fields=["started_at"])
                settling.make_ready(rollout, actor=ENGINE)
        return True

    def _walk(self) -> bool:
        rollouts = Rollout.objects.select_related("release__environment", "environment__cluster")
        rollout = rollouts.get(pk=self.lease.rollout_id)
        if rollout.state == RolloutState.QUEUED:
            return self._begin()
        if rollout.state not in {*MOVING, RolloutState.PAUSED}:
            return False
        # Large, and of no use to any step.
        unread = ("history", "planned")
        steps = list(rollout.steps.select_related("service").defer(*unread).order_by("position", "id"))
        if not self.items:
            self.items = list(rollout.release.items.select_related("service"))
        self.listed = {}
        way = settling.direction(steps)
        works = [self._work(rollout, step, steps) for step in steps if step.direction == way]
        progressed = rollout.state in MOVING and self._begin_looks(works)
        if self._act_all(works, moving=rollout.state in MOVING):
            progressed = True
        if self._look_all([work for work in works if self._looks(work.step) and self._due(work.step)]):
            progressed = True
        return settling.settle(self.lease, steps, actor=ENGINE) or progressed

    def _work(self, rollout: Rollout, step: Step, steps: list[Step]) -> Work:
        return Work(
            step=step,
            release=rollout.release,
            environment=rollout.environment,
            items=self.items,
            rollout=rollout,
            siblings=steps,
            listed=self.listed,
        )

    def _due(self, step: Step) -> bool:
        """Each running step is looked at once per nudge; one that backs off only when its time has come."""
        if step.pk not in self.looked and not step.tries:
            return True
        return step.wake_at is None or step.wake_at <= clock.now()

    def _looks(self, step: Step) -> bool:
        unwritten = KINDS[step.kind].acts and step.acted is None
        return step.state == StepState.RUNNING and not unwritten

    def _begin_looks(self, works: Sequence[Work]) -> bool:
        """Begin ready steps that only look; most began in the transaction that made them ready."""
        ready = [work.step.pk for work in works if self._waits_for_look(work.step)]
        if not ready:
            return False
        with writing(self.lease, halts=True) as rollout:
            steps = rollout.steps.select_related("service").filter(pk__in=ready, state=StepState.READY)
            return settling.begin_looks(rollout, steps.order_by("position"), actor=ENGINE)

    def _waits_for_look(self, step: Step) -> bool:
        return step.state == StepState.READY and not KINDS[step.kind].acts

    def _look_all(self, works: Sequence[Work]) -> bool:
        """Look at steps one after the other, and write what was seen together, or after a while."""
        progressed = False
        seen: list[tuple[int, Outcome]] = []
        since = time.monotonic()
        for work in works:
            self.looked.add(work.step.pk)
            seen.append((work.step.pk, self._look(work)))
            if time.monotonic() - since > WRITE_SECONDS:
                progressed |= outcomes.write(self.lease, seen, actor=ENGINE)
                seen, since = [], time.monotonic()
        return (bool(seen) and outcomes.write(self.lease, seen, actor=ENGINE)) or progressed

    def _look(self, work: Work) -> Outcome:
        try:
            return KINDS[work.step.kind].observe(work)
        except (TemporaryError, PermanentError) as error:
            return self._of_error(work, error)

    def _of_error(self, work: Work, error: TemporaryError | PermanentError) -> Outcome:
        if isinstance(error, PermanentError):
            return outcomes.of_refusal(error)
        acting = KINDS[work.step.kind].acts
        return outcomes.of_temporary(work.step, error, acting=acting, now=clock.now())

    def _act_all(self, works: Sequence[Work], *, moving: bool) -> bool:
        """Carry out the writes that are due; what other waves left is looked at once for all of them."""
        progressed = False
        asked: set[int] = set()
        for work in works:
            step = work.step
            if not KINDS[step.kind].acts or step.acted is not None:
                continue
            if step.state == StepState.READY and moving:
                held = None if step.wave in asked else gates.before_start(work)
                asked.add(step.wave)
                if held is not None:
                    return outcomes.hold_rollout(self.lease, step, held, actor=ENGINE)
            elif step.state != StepState.RUNNING or not self._due(step):
                continue
            progressed |= self._act(work)
        return progressed

    def _act(self, work: Work) -> bool:
        """Carry out the one write of a step; False while the rollout may not act.

        Raises:
            OrdersWait: a halt was asked for after the look and before the act.
        """
        self.looked.add(work.step.pk)
        kind = KINDS[work.step.kind]
        try:
            prepared = kind.prepare(work)
            if not self._begin_act(work, prepared):
                return False
            if isinstance(prepared, Outcome):
                return outcomes.write(self.lease, [(work.step.pk, prepared)], actor=ENGINE)
            if isinstance(prepared, Found):
                return self._acted(work, prepared.acted, changes=[])
            stop_points.reach("before_act", kind=work.step.kind)
            acted = kind.act(work, prepared)
        except (TemporaryError, PermanentError) as error:
            return self._failed_act(work, error)
        stop_points.reach("after_act", kind=work.step.kind)
        return self._acted(work, acted, changes=prepared.changes)

    def _failed_act(self, work: Work, error: TemporaryError | PermanentError) -> bool:
        outcome = self._of_error(work, error)
        return self._begin_act(work, outcome) and outcomes.write(
            self.lease, [(work.step.pk, outcome)], actor=ENGINE
        )

    def _begin_act(self, work: Work, prepared: Change | Found | Outcome) -> bool:
        """Commit that the step runs and, where it is about to write, what it will write."""
        if work.step.state == StepState.RUNNING and not isinstance(prepared, Change):
            return True
        with writing(self.lease, halts=True) as rollout:
            step = outcomes.locked(work.step.pk)
            if rollout.state not in MOVING or step.state not in {StepState.READY, StepState.RUNNING}:
                return False
            if isinstance(prepared, Change):
                held = gates.unapproved(step, rollout.release)
                if held is not None:
                    outcomes.pause_rollout(rollout, step, held, actor=ENGINE)
                    return False
                step.intent = {"changes": prepared.changes, "epoch": self.lease.epoch, "at": clock.now()}
                step.planned = {**step.planned, "changes": prepared.changes}
                step.save(update_fields=["intent", "planned"])
            if step.state == StepState.READY:
                settling.begin(rollout, step, actor=ENGINE)
        work.step = step
        if isinstance(prepared, Change):
            stop_points.reach("after_intent", kind=step.kind)
        return True

    def _acted(self, work: Work, acted: Json, *, changes: list[Json]) -> bool:
        """Write down the act together with what it came to."""
        work.step.acted = acted
        outcome = self._look(work)
        with writing(self.lease) as rollout:
            step = outcomes.locked(work.step.pk)
            step.acted, step.acted_at = acted, clock.now()
            # A write found from an earlier start still needs its intent, or the way back would miss it.
            step.intent = step.intent or {"changes": changes, "epoch": self.lease.epoch, "at": clock.now()}
            step.save(update_fields=["acted", "acted_at", "intent"])
            outcomes.record_act(step, acted, actor=ENGINE)
            tell_step(step, "acted", changes=(step.intent or {}).get("changes", []))
            stop_points.reach("before_record", kind=work.step.kind)
            outcomes.put(rollout, step, outcome, actor=ENGINE)
        stop_points.reach("after_record", kind=work.step.kind)
        return True


def _next_look(rollout_id: int, *, at_once: bool) -> datetime | None:
    rollout = Rollout.objects.get(pk=rollout_id)
    if rollout.state not in {*ACTIVE, RolloutState.PAUSED}:
        return None
    now = clock.now()
    if at_once:
        return now
    running = rollout.steps.filter(state=StepState.RUNNING, wake_at__isnull=False)
    earliest = running.order_by("wake_at").values_list("wake_at", flat=True).first()
    if rollout.state == RolloutState.PAUSED:
        return earliest
    floor = now + timedelta(seconds=FLOOR_SECONDS)
    return min(earliest, floor) if earliest else floor
