"""The waves of a rollout as pages list and draw them, before it begins as while it runs.

Pure: it reads the steps that it is given, which need not be saved.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext

from portal.ui.charts import Spark
from releases.rollouts import texts, watched
from releases.rollouts.canary_share import share_text, stages_text
from releases.rollouts.models import Step
from releases.rollouts.queries import HIDDEN_KINDS
from releases.rollouts.states import DONE, Direction, StepState
from releases.rollouts.tables import WRITES_TEMPLATE

Json = dict[str, Any]
# How one word is found for a service from the states of its steps: the first that occurs.
WORST_FIRST = (
    StepState.FAILED,
    StepState.ERRORED,
    StepState.INCONCLUSIVE,
    StepState.RUNNING,
    StepState.READY,
    StepState.CANCELLED,
    StepState.WAITING,
    StepState.SKIPPED,
    StepState.UNDONE,
    StepState.SUCCEEDED,
)


@dataclass(frozen=True, kw_only=True)
class StepView:
    """A step with its words; `choices` are the orders this person could give for it now."""

    step: Step
    title: str
    text: str = ""
    failure: Json | None = None
    cause: str = ""
    choices: frozenset[str] = frozenset()
    spark: Spark | None = None
    gates: tuple[watched.WatchedGate, ...] = ()
    ends_at: datetime | None = None

    @property
    def asks(self) -> str:
        """What its panel answers: only what was measured bad has failed."""
        failed = self.step.state == StepState.FAILED
        return gettext("Why it failed") if failed else gettext("Why it stopped")

    @property
    def warning(self) -> str:
        """What is said of it where it is a clean-up that did not go well."""
        return texts.warning(self.step)


@dataclass(frozen=True, kw_only=True)
class MemberView:
    """A service within a wave, or a group of steps before and after the waves.

    `stages` are the shares or sizes that it goes through, `note` how many pods or steps are there already.
    """

    name: str
    state: str
    note: str
    steps: tuple[StepView, ...]
    version: str = ""
    running: str = ""
    canary: str = ""
    stages: str = ""

    @property
    def drawn(self) -> Json:
        """Its node in the picture; one that waits says what it will go through."""
        waits = self.state == StepState.WAITING
        return {"name": self.name, "state": self.state, "note": self.note or (self.stages if waits else "")}


@dataclass(frozen=True, kw_only=True)
class WaveView:
    """A wave: its title and the members that run beside each other.

    The steps before and after all waves are a wave as well, `plain`: one member that holds every step.
    """

    title: str
    members: tuple[MemberView, ...]
    plain: bool = False

    @property
    def drawn(self) -> Json:
        """Its column in the picture."""
        members = [member.drawn for member in self.members]
        return {"title": "" if self.plain else self.title, "members": members}


def waves_of(views: Sequence[StepView], items: dict[int, Any]) -> tuple[WaveView, ...]:
    """Group steps into waves.

    Args:
        views: the steps of one direction, in their order.
        items: what the release brings out, by the key of the service.
    """
    return tuple(_wave(section, group, items) for section, group in _sections(views))


def _wave(section: str, group: Sequence[StepView], items: dict[int, Any]) -> WaveView:
    shown = _shown(group)
    title = texts.wave_title(section, shown[0].step)
    if section != "wave":
        return WaveView(title=title, members=(_plain_member(title, shown),), plain=True)
    members = (_member(name, own, items) for name, own in _members(group).items())
    return WaveView(title=title, members=tuple(members))


def _shown(views: Sequence[StepView]) -> tuple[StepView, ...]:
    return tuple(view for view in views if view.step.kind not in HIDDEN_KINDS)


def _plain_member(title: str, shown: tuple[StepView, ...]) -> MemberView:
    done = sum(view.step.state in DONE for view in shown)
    return MemberView(name=title, state=_state_of(shown), note=f"{done}/{len(shown)}", steps=shown)


def _sections(views: Sequence[StepView]) -> list[tuple[str, list[StepView]]]:
    """Steps in the order of the page: before, each wave, after; a way back begins with the last wave."""
    found: dict[tuple[str, int], list[StepView]] = {}
    for view in views:
        section = "wave" if view.step.wave else str(view.step.params.get("section") or "before")
        found.setdefault((section, view.step.wave), []).append(view)
    shown = {key: _shown(group) for key, group in found.items()}
    # What is recorded at the start stands before all waves; a wave begins where its own steps do.
    order = sorted((key for key in found if shown[key]), key=lambda key: shown[key][0].step.position)
    return [(key[0], found[key]) for key in order]


def _members(group: Sequence[StepView]) -> dict[str, list[StepView]]:
    found: dict[str, list[StepView]] = {}
    for view in group:
        name = view.step.service.name if view.step.service else texts.step_title(view.step)
        found.setdefault(name, []).append(view)
    return found


def _member(name: str, own: Sequence[StepView], items: dict[int, Any]) -> MemberView:
    shown, steps = _shown(own), [view.step for view in own]
    item = items.get(steps[0].service_id or 0)
    brought = item if any(each.kind in WRITES_TEMPLATE[each.direction] for each in steps) else None
    old, new = (
        str(brought.running.get("version") or "") if brought else "",
        brought.version if brought else "",
    )
    back, state = steps[0].direction == Direction.BACK, _state_of(shown)
    return MemberView(
        name=name,
        state=state,
        note=_ready_of(steps),
        steps=shown,
        version=old if back else new,
        running=new if back else old,
        # The stable workload has it all once it is done.
        canary="" if state == StepState.SUCCEEDED else share_text(steps),
        stages="" if back else stages_text(steps),
    )


def _ready_of(steps: Sequence[Step]) -> str:
    """How many pods are ready of those that the service was given here; "" where that says nothing.

    A view of the cluster counts other pods as well, the share of a canary is said beside it, and of what has
    gone back to no pods none is missing.
    """
    seen: Json = next((each.observed for each in reversed(steps) if _counts_own(each)), {})
    if "ready" not in seen or not seen["wanted"] or not any(each.acted for each in steps):
        return ""
    return f"{seen['ready']}/{seen['wanted']}"


def _counts_own(step: Step) -> bool:
    return "wanted" in step.observed and "total" not in step.observed and step.kind != "cluster_view"


def _state_of(shown: Sequence[StepView]) -> str:
    """One word for several steps: the worst, or under way as soon as one of them has ended."""
    states = {str(StepState.SUCCEEDED) if view.step.is_warning else view.step.state for view in shown}
    state = next((word for word in WORST_FIRST if word in states), StepState.WAITING)
    if state == StepState.WAITING and states & DONE:
        state = StepState.RUNNING
    return str(state)
