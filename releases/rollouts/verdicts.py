"""Did exactly that run: what reading back found, in a word and as the rows that differ."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext

from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import Direction, RolloutState, StepState

Json = dict[str, Any]
READS_BACK = "verify_digests"
# Nothing more will change what runs by itself in these.
DONE_IN = frozenset(
    {
        RolloutState.SUCCEEDED,
        RolloutState.AWAITING_SIGNOFF,
        RolloutState.SWITCHING,
        RolloutState.ROLLED_BACK,
    }
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What reading back found.

    Attributes:
        ran: exactly, restored, skipped (a part, all else exactly), differs, other_content, or unknown.
        back: it was compared with what ran before, not with what was approved.
        rows: the services that differ, as `verification.read_back` gives them.
        is_done: whether the rollout has come to where such a verdict is its result.
        at: when it was read back; None where that is not known.
    """

    ran: str
    back: bool = False
    rows: tuple[Json, ...] = field(default=(), hash=False)
    is_done: bool = False
    at: datetime | None = None

    @property
    def expected_label(self) -> str:
        """What the running digests were compared with."""
        return gettext("Before the rollout") if self.back else gettext("Approved")


def verdict_of(rollout: Rollout, steps: Iterable[Step] | None = None) -> Verdict:
    """Say whether exactly what was approved runs or, where the rollout has gone back, what ran before.

    What was read back before it turned back says nothing of what runs since.

    Args:
        steps: those of the rollout in their order, where they are known.
    """
    if rollout.content_digest != rollout.release.content_digest:
        return Verdict(ran="other_content")
    last = _last_look(rollout.steps.order_by("position", "id") if steps is None else steps)
    if rollout.verdict is None or (last is not None and _looks(last)):
        return Verdict(ran="unknown")
    rows = tuple(each for each in rollout.verdict["services"] if not each["ok"])
    back = rollout.state == RolloutState.ROLLED_BACK or (
        last is not None and last.direction == Direction.BACK
    )
    return Verdict(
        ran=_word(rows, exact=rollout.verdict["exact"], back=back),
        back=back,
        rows=rows,
        is_done=rollout.state in DONE_IN,
        at=last.ended_at if last is not None else None,
    )


def _last_look(steps: Iterable[Step]) -> Step | None:
    looks = [each for each in steps if each.kind == READS_BACK]
    return looks[-1] if looks else None


def _looks(step: Step) -> bool:
    """Whether it has not found anything yet, or may find otherwise: pods that end get a moment."""
    return not step.observed or step.state == StepState.RUNNING


def _word(rows: Collection[Json], *, exact: bool, back: bool) -> str:
    if exact:
        return "restored" if back else "exactly"
    return "skipped" if rows and all(each.get("skipped") for each in rows) else "differs"
