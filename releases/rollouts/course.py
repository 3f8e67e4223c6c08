"""All steps of a rollout as whoever holds its lease knows them: read once, then kept up to date in memory.

Only the holder writes steps, and every write asks under the row's lock whether the lease still stands: while
it does, what was read at its beginning is what the rows say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from portal.statements import Given, Question, Statement
from releases.catalog.models import Service
from releases.items import items_of
from releases.rollouts.leases import Lease, writing
from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import Direction, RolloutState, StepState

UNREAD = frozenset({"history", "planned"})
# Without what is large and of no use to any step.
STEPS = Statement(
    Step,
    """
SELECT {columns}, ARRAY(SELECT to_step_id FROM rollouts_step_depends_on WHERE from_step_id = rollouts_step.id)
FROM rollouts_step WHERE rollout_id = %s ORDER BY position, id
""",
    but=UNREAD,
    beside=("earlier",),
)
SERVICES = Question(lambda: Service.objects.defer("source").filter(pk__among=Given("keys")))
UNFINISHED = frozenset({StepState.READY, StepState.RUNNING})


class Course:
    """The steps, which of them count now, and what each waits for."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.steps = STEPS.ask(lease.rollout_id)
        self.items = items_of(lease.rollout.release)
        self._name_services()
        self._name_rollout(lease.rollout)

    @contextmanager
    def writing(self, *, halts: bool = False) -> Iterator[Rollout]:
        """Open a transaction in which these steps may be written; see `leases.writing`."""
        with writing(self.lease, halts=halts) as rollout:
            self._name_rollout(rollout)
            yield rollout

    def _name_services(self) -> None:
        """Take each service from the items: a join would decode its document for every one of its steps."""
        services = {each.service_id: each.service for each in self.items}
        left = {each.service_id for each in self.steps if each.service_id} - services.keys()
        services |= {each.pk: each for each in SERVICES.ask(keys=list(left))} if left else {}
        for step in self.steps:
            step.service = services.get(step.service_id) if step.service_id else None

    def _name_rollout(self, rollout: Rollout) -> None:
        for step in self.steps:
            step.rollout = rollout

    @property
    def rollout(self) -> Rollout:
        """The row as last seen under its lock."""
        return self.lease.rollout

    @property
    def way(self) -> Direction:
        """Where the rollout goes: back as soon as there are steps of a way back."""
        back = any(each.direction == Direction.BACK for each in self.steps)
        going = self.rollout.state == RolloutState.ROLLING_BACK
        return Direction.BACK if back or going else Direction.FORWARD

    @property
    def present(self) -> list[Step]:
        """The steps of the way it goes."""
        way = self.way
        return [each for each in self.steps if each.direction == way]

    @property
    def unfinished(self) -> list[Step]:
        """What may begin, or runs."""
        return [each for each in self.present if each.state in UNFINISHED]

    @property
    def is_switching(self) -> bool:
        """Whether it has come past the sign-off: only there the turn of a step of that part ever comes."""
        return is_switching(self.steps)

    def free(self) -> list[Step]:
        """Waiting steps whose predecessors are all done; those after the sign-off only once it is given."""
        switching = self.rollout.state == RolloutState.SWITCHING
        waiting = [
            each
            for each in self.present
            if each.state == StepState.WAITING and (switching or not each.is_after_signoff)
        ]
        if not waiting:
            return []
        done = {each.pk for each in self.steps if each.is_settled}
        return [each for each in waiting if done.issuperset(each.earlier)]  # type: ignore[attr-defined]  # read beside

    def find(self, pk: int | None) -> Step | None:
        """Return the step with this key."""
        return next((each for each in self.steps if each.pk == pk), None)


def is_switching(steps: Iterable[Step]) -> bool:
    """Whether a rollout with these steps has come past the sign-off."""
    # One may be skipped long before its turn.
    untouched = {StepState.WAITING, StepState.SKIPPED}
    after = [each for each in steps if each.is_after_signoff]
    return any(each.started_at is not None or each.state not in untouched for each in after)
