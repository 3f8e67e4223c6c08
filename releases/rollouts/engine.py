"""advance(): carries a rollout as far as it can go now, and never waits.

The rows are the truth. An advance may be lost, doubled, late or killed half-way: every write asks for the
lease again, an intent is committed before the act, the act is made outside any transaction and found again by
its mark, and what was seen is written after it. Waiting is a row that says until when.
"""

from __future__ import annotations

import contextlib
import time
from datetime import datetime, timedelta

from portal import clock, jobs
from portal.actors import Actor
from portal.errors import PermanentError, TemporaryError
from releases.models import Item
from releases.rollouts import gates, leases, orders, outcomes, settling, stop_points
from releases.rollouts.events import move_rollout, move_step, tell_step
from releases.rollouts.leases import Lease, LeaseLost, OrdersWait, writing
from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import ACTIVE, MOVING, RolloutState, StepState
from releases.rollouts.steps.kind import Change, Found, Outcome, Work
from releases.rollouts.steps.kinds import KINDS

ENGINE = Actor.portal("rollout engine")
# One job goes on for so long at most; then it hands over to the next one.
BUDGET_SECONDS = 20.0
# A rollout in progress is looked at again after this time whatever happens.
FLOOR_SECONDS = 15.0


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

    def run(self) -> None:
        """Walk until nothing changes any more."""
        while time.monotonic() < self.ends_at:
            orders.honour(self.lease, actor=ENGINE)
            try:
                self._begin()
                if not self._walk():
                    return
            except OrdersWait:
                continue

    def _begin(self) -> None:
        if not Rollout.objects.filter(pk=self.lease.rollout_id, state=RolloutState.QUEUED).exists():
            return
        with writing(self.lease, halts=True) as rollout:
            if rollout.state == RolloutState.QUEUED:
                rollout.started_at = clock.now()
                move_rollout(rollout, RolloutState.RUNNING, actor=ENGINE, fields=["started_at"])
                settling.make_ready(rollout, actor=ENGINE)

    def _walk(self) -> bool:
        rollout = Rollout.objects.select_related("release", "environment__cluster").get(
            pk=self.lease.rollout_id
        )
        if rollout.state not in {*MOVING, RolloutState.PAUSED}:
            return False
        steps = list(rollout.steps.select_related("service").order_by("position", "id"))
        items = list(rollout.release.items.select_related("service"))
        progressed = False
        for step in (each for each in steps if each.direction == settling.direction(steps)):
            work = self._work(rollout, step, steps, items)
            if step.state == StepState.READY and rollout.state in MOVING:
                progressed |= self._start(work)
            elif step.state == StepState.RUNNING and self._due(step):
                progressed |= self._look(work)
        return settling.settle(self.lease, steps, actor=ENGINE) or progressed

    def _work(self, rollout: Rollout, step: Step, steps: list[Step], items: list[Item]) -> Work:
        return Work(
            step=step,
            release=rollout.release,
            environment=rollout.environment,
            items=items,
            rollout=rollout,
            siblings=steps,
        )

    def _due(self, step: Step) -> bool:
        """Each running step is looked at once per nudge; one that backs off only when its time has come."""
        if step.pk not in self.looked and not step.tries:
            return True
        return step.wake_at is None or step.wake_at <= clock.now()

    def _start(self, work: Work) -> bool:
        held = gates.before_start(work)
        if held is not None:
            return outcomes.hold_rollout(self.lease, work.step, held, actor=ENGINE)
        with writing(self.lease, halts=True) as rollout:
            step = (
                Step.objects.select_for_update(of=("self",))
                .select_related("service", "rollout")
                .get(pk=work.step.pk)
            )
            if rollout.state not in MOVING or step.state != StepState.READY:
                return False
            step.started_at = clock.now()
            step.deadline_at = step.started_at + timedelta(seconds=step.timeout_seconds)
            step.tries, step.wake_at = 0, None
            move_step(
                step,
                StepState.RUNNING,
                actor=ENGINE,
                fields=["started_at", "deadline_at", "tries", "wake_at"],
            )
            settling.enter_section(rollout, step, actor=ENGINE)
        for field in ("state", "started_at", "deadline_at", "tries", "wake_at"):
            setattr(work.step, field, getattr(step, field))
        self._look(work)
        return True

    def _look(self, work: Work) -> bool:
        self.looked.add(work.step.pk)
        kind = KINDS[work.step.kind]
        try:
            unwritten = kind.acts and work.step.acted is None
            outcome = self._act(work) if unwritten else kind.observe(work)
        except TemporaryError as error:
            outcome = outcomes.of_temporary(work.step, error, acting=kind.acts, now=clock.now())
        except PermanentError as error:
            outcome = outcomes.of_refusal(error)
        if outcome is None:
            return False
        return outcomes.write(self.lease, work.step, outcome, actor=ENGINE)

    def _act(self, work: Work) -> Outcome | None:
        """Carry out the one write of a step; None while the rollout may not act.

        Raises:
            OrdersWait: a halt was asked for after the look and before the act.
        """
        kind = KINDS[work.step.kind]
        prepared = kind.prepare(work)
        if isinstance(prepared, Outcome):
            return prepared
        if isinstance(prepared, Found):
            return self._acted(work, prepared.acted, changes=[])
        if not self._intend(work, prepared):
            return None
        stop_points.reach("before_act", kind=work.step.kind)
        acted = kind.act(work, prepared)
        stop_points.reach("after_act", kind=work.step.kind)
        return self._acted(work, acted, changes=prepared.changes)

    def _intend(self, work: Work, change: Change) -> bool:
        with writing(self.lease, halts=True) as rollout:
            step = Step.objects.select_for_update().get(pk=work.step.pk)
            if rollout.state not in MOVING or step.state != StepState.RUNNING:
                return False
            held = gates.unapproved(step, rollout.release)
            if held is not None:
                outcomes.pause_rollout(rollout, step, held, actor=ENGINE)
                return False
            step.intent = {"changes": change.changes, "epoch": self.lease.epoch, "at": clock.now()}
            step.planned = {**step.planned, "changes": change.changes}
            step.save(update_fields=["intent", "planned"])
        stop_points.reach("after_intent", kind=work.step.kind)
        return True

    def _acted(self, work: Work, acted: dict[str, object], *, changes: list[dict[str, object]]) -> Outcome:
        with writing(self.lease):
            step = (
                Step.objects.select_for_update(of=("self",))
                .select_related("service", "rollout")
                .get(pk=work.step.pk)
            )
            step.acted, step.acted_at = acted, clock.now()
            # A write found from an earlier start still needs its intent, or the way back would miss it.
            step.intent = step.intent or {"changes": changes, "epoch": self.lease.epoch, "at": clock.now()}
            step.save(update_fields=["acted", "acted_at", "intent"])
            outcomes.record_act(step, acted, actor=ENGINE)
            tell_step(step, "acted", changes=(step.intent or {}).get("changes", []))
            stop_points.reach("before_record", kind=work.step.kind)
        stop_points.reach("after_record", kind=work.step.kind)
        work.step.acted, work.step.intent = step.acted, step.intent
        return KINDS[work.step.kind].observe(work)


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
