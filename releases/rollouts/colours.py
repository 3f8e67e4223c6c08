"""What pages say of colours: which has the traffic, how large each is, and what follows the sign-off.

Pure: it reads the steps that it is given.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from releases.catalog import canaries, watches
from releases.rollouts import texts
from releases.rollouts.models import Step
from releases.rollouts.rollback import in_order_of_return, touched
from releases.rollouts.states import Direction, StepState

NAMES: dict[str, str | Promise] = {"blue": gettext_lazy("Blue"), "green": gettext_lazy("Green")}
LETTERS = {"blue": "B", "green": "G"}
SIZING = frozenset({"scale", "restore_scale"})
SWITCHING = frozenset({"switch_service", "restore_services"})
# What only makes sure is not told as something that the sign-off sets off.
LOOKS = frozenset({"cluster_view", "health"})


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One colour of a service: how many pods are ready, and how many there shall be."""

    colour: str
    is_live: bool
    ready: int
    wanted: int

    @property
    def name(self) -> str:
        """The colour in the reader's language, with the letter that tells it without colour."""
        return f"{NAMES[self.colour]} {LETTERS[self.colour]}"

    @property
    def size(self) -> str:
        """The number of pods, and where it goes to."""
        return str(self.ready) if self.ready == self.wanted else f"{self.ready} → {self.wanted}"


@dataclass(frozen=True, kw_only=True)
class Colours:
    """A service that stands twice; the colour with the traffic is the live one."""

    service: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, kw_only=True)
class Act:
    """One thing that the part after the sign-off does."""

    service: str
    title: str
    text: str


def colours_of(steps: Sequence[Step]) -> tuple[Colours, ...]:
    """The services with colours, once it was found which of them is live."""
    found = [each for each in steps if each.kind == "find_colours" and each.before]
    return tuple(
        _colours(each, [step for step in steps if step.service_id == each.service_id]) for each in found
    )


def after_signoff(steps: Iterable[Step]) -> tuple[Act, ...]:
    """What follows the sign-off, a size by size as one line; nothing where the plan has no such part."""
    acts: list[Act] = []
    for step in steps:
        if not step.is_after_signoff or step.direction == Direction.BACK or step.kind in LOOKS:
            continue
        act = Act(
            service=step.service.name if step.service else "", title=texts.step_title(step), text=_told(step)
        )
        if acts and step.kind == "scale" and (acts[-1].service, acts[-1].title) == (act.service, act.title):
            act = Act(
                service=act.service, title=act.title, text=f"{acts.pop().text} → {step.params['replicas']}"
            )
        acts.append(act)
    return tuple(acts)


def goes_back_at_once(steps: Sequence[Step]) -> bool:
    """Whether a rollback begins with the traffic: the old colour still stands as it stood."""
    first = next(iter(in_order_of_return(touched(steps))), None)
    return first is not None and first.kind == "switch_service"


def _colours(found: Step, steps: Sequence[Step]) -> Colours:
    live = str(found.before["live"])
    acted = [each for each in steps if each.kind in SWITCHING and each.acted]
    if acted and acted[-1].kind == "switch_service":
        live = str(found.before["idle"])
    workloads: dict[str, Any] = found.params["workloads"]
    tiles: Iterable[Tile] = (
        _tile(colour, live, workloads[colour]["name"], steps) for colour in sorted(workloads)
    )
    if canaries.take_turns({"colours": found.params}):
        tiles = (replace(tile, is_live=tile.ready > 0) for tile in tiles)
    return Colours(service=found.service.name if found.service else "", tiles=tuple(tiles))


def _tile(colour: str, live: str, workload: str, steps: Sequence[Step]) -> Tile:
    own = [each for each in steps if (each.params.get("workload") or {}).get("name") == workload]
    ready = wanted = next((int(each.before["replicas"]) for each in own if each.before), 0)
    for step in own:
        if step.kind in SIZING and step.acted:
            wanted = int(step.acted["bounds"][0])
            ready = int(step.observed.get("ready", ready)) if step.state != StepState.SUCCEEDED else wanted
    return Tile(colour=colour, is_live=colour == live, ready=ready, wanted=wanted)


def _told(step: Step) -> str:
    params = step.params
    if step.kind == "switch_service":
        named = [str(value) for value in (params.get("selector") or {}).values()]
        goal = ", ".join(str(NAMES.get(each, each)) for each in named)
        return f"{', '.join(params['services'])} → {goal}"
    if step.kind == watches.KIND:
        return _duration(watches.watched_seconds(params))
    if step.kind == "scale":
        name = (params.get("workload") or {}).get("name", "")
        return f"{name} → {params['replicas']}".strip()
    return ""


def _duration(seconds: int) -> str:
    if seconds % 60:
        return _("{seconds} s").format(seconds=seconds)
    minutes = seconds // 60
    return ngettext("{minutes} minute", "{minutes} minutes", minutes).format(minutes=minutes)
