"""Workers that die at named places, and those that take over after them."""

from collections import Counter

import pytest

from releases.rollouts import stop_points
from releases.rollouts.models import Rollout, Step
from tests.rollouts.floor import Floor, drive

ENDS = ("failed", "succeeded", "paused", "rolled_back", "rollback_failed")


class Died(BaseException):
    """The worker's death at a named place; nothing of ours catches it."""


def dying(monkeypatch: pytest.MonkeyPatch, at: str) -> list[str]:
    """Let workers die at acts of a kind; what is left of the places where one still will."""
    left = ["after_intent", "before_act", "after_act", "before_record"]
    deaths = Counter[int]()

    def reach(name: str, *, kind: str = "") -> None:
        if kind != at or name not in left:
            return
        step = Step.objects.filter(kind=kind, state__in=("ready", "running")).earliest("position").pk
        # At the third death in a row the step would be parked.
        if deaths[step] < 2:
            deaths[step] += 1
            left.remove(name)
            raise Died

    monkeypatch.setattr(stop_points, "reach", reach)
    return left


def outlived(floor: Floor, left: list[str]) -> Rollout:
    """A rollout that the next worker takes over after every death."""
    rollout = floor.start()
    while left:
        with pytest.raises(Died):
            drive(rollout, *ENDS, seconds=60)
        Rollout.objects.filter(pk=rollout.pk).update(lease_until=None)
    return drive(rollout, *ENDS, seconds=60)
