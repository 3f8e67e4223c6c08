"""The arithmetic of a canary of Argo Rollouts without a traffic router: weight by numbers of pods.

After argoproj/argo-rollouts v1.10.1: utils/replicaset/canary.go.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from portal.embedded.cluster.controllers import rolling
from portal.embedded.cluster.store import Object

FULL = 100


@dataclass(frozen=True)
class Sets:
    """The ReplicaSets of a Rollout: of the present template, the stable one, and what is left of others."""

    new: Object | None
    stable: Object | None
    others: Sequence[Object] = ()

    @property
    def every(self) -> list[Object]:
        """All of them, each once."""
        found = [each for each in (self.new, self.stable) if each is not None]
        if self.is_stable:
            found = found[:1]
        return [*found, *self.others]

    @property
    def is_stable(self) -> bool:
        """Whether the present template is the stable one."""
        return self.new is not None and self.stable is not None and name_of(self.new) == name_of(self.stable)


def steps_of(item: Object) -> list[Object]:
    """The canary steps that a Rollout asks for."""
    found: list[Object] = ((item["spec"].get("strategy") or {}).get("canary") or {}).get("steps") or []
    return found


def step_at(item: Object, index: int | None) -> Object | None:
    """The step a canary stands at; None past the last one."""
    steps = steps_of(item)
    return steps[index or 0] if (index or 0) < len(steps) else None


def weight_of(item: Object) -> int:
    """The canary's share in percent: of the last setWeight up to the present step."""
    status, steps = item.get("status") or {}, steps_of(item)
    if status.get("abort"):
        return 0
    index = status.get("currentStepIndex") or 0
    if index >= len(steps):
        return FULL
    weights = [int(each["setWeight"]) for each in steps[: index + 1] if "setWeight" in each]
    return weights[-1] if weights else 0


def replicas_of(item: Object) -> int:
    return int(item["spec"].get("replicas", 1))


def limits(item: Object) -> tuple[int, int]:
    """How many pods there may be too many, and how many too few; not both none."""
    canary = item["spec"]["strategy"]["canary"] or {}
    surge = rolling.share(canary.get("maxSurge", "25%"), replicas_of(item), up=True)
    missing = rolling.share(canary.get("maxUnavailable", "25%"), replicas_of(item), up=False)
    return surge, (missing if surge or missing else 1)


def wanted(item: Object, sets: Sets) -> tuple[int, int]:
    """How many pods the new and the stable ReplicaSet come to at the present weight."""
    total = replicas_of(item)
    if sets.stable is None or sets.is_stable:
        return total, 0
    return split(total, weight_of(item), surge=limits(item)[0])


def split(total: int, weight: int, *, surge: int) -> tuple[int, int]:
    """The numbers of pods that come nearest to a weight, one pod more in all where a surge is allowed.

    Between 1 and 99 percent both sides have a pod where that is possible; ties go up.
    """
    if total == 0:
        return 0, 0
    best = min(
        _options(total, weight, surge=surge), key=lambda each: _error(weight, *each), default=(0, total)
    )
    return best[0], best[1] - best[0]


def _options(total: int, weight: int, *, surge: int) -> Iterable[tuple[int, int]]:
    least, most = math.floor(total * weight / FULL), math.ceil(total * weight / FULL)
    none_allowed = weight in (0, FULL) or (total == 1 and surge == 0)
    if most < total or none_allowed:
        yield most, total
    if not _tied(total, weight) and (least or none_allowed):
        yield least, total
    if surge:
        yield most, total + 1
        if not _tied(total + 1, weight) and (least or none_allowed):
            yield least, total + 1


def _tied(total: int, weight: int) -> bool:
    return total * weight % FULL * 2 == FULL


def _error(weight: int, canary: int, total: int) -> float:
    return abs(canary * FULL / total - weight)


def sizes(item: Object, sets: Sets) -> dict[str, int]:
    """The next sizes of the ReplicaSets by name: within surge and availability, one move at a time."""
    to_new, to_stable = wanted(item, sets)
    surge, missing = limits(item)
    found = {name_of(each): size_of(each) for each in sets.every}
    room = replicas_of(item) + surge - sum(found.values())
    stable = None if sets.is_stable else sets.stable
    for each, goal in ((stable, to_stable), (sets.new, to_new)):
        if each is not None:
            more = min(max(goal - size_of(each), 0), max(room, 0))
            found[name_of(each)] += more
            room -= more
    least = replicas_of(item) - missing
    if any(size_of(each) for each in sets.others):
        return _without_others(found, sets, least=least)
    return _shrunk(found, sets, stable, goals=(to_new, to_stable), least=least)


def _without_others(found: dict[str, int], sets: Sets, *, least: int) -> dict[str, int]:
    """What is neither new nor stable goes first: what is unhealthy at once, the rest as far as it may."""
    spare = sum(available(each) for each in sets.every) - least
    for each in sets.others:
        healthy = min(available(each), size_of(each))
        less = min(healthy, max(spare, 0))
        found[name_of(each)] = healthy - less
        spare -= less
    return found


def _shrunk(
    found: dict[str, int], sets: Sets, stable: Object | None, *, goals: tuple[int, int], least: int
) -> dict[str, int]:
    """Shrink the side that is to lose pods; only the other side's pods must be available for that."""
    grows = sets.new is None or goals[0] >= size_of(sets.new)
    counted = _spared(sets.new, ready_only=grows) + _spared(stable, ready_only=not grows)
    shrinking, goal = (stable, goals[1]) if grows else (sets.new, goals[0])
    if counted > least and shrinking is not None and size_of(shrinking) > goal:
        found[name_of(shrinking)] = max(goal, size_of(shrinking) - (counted - least))
    return found


def _spared(each: Object | None, *, ready_only: bool) -> int:
    if each is None:
        return 0
    return min(available(each), size_of(each)) if ready_only else size_of(each)


def reached(item: Object, sets: Sets) -> bool:
    """Whether the pods are as the present weight wants them, the new ones available."""
    to_new, to_stable = wanted(item, sets)
    if sets.new is None or size_of(sets.new) != to_new or available(sets.new) != to_new:
        return False
    if sets.stable is not None and not sets.is_stable:
        there = (sets.stable.get("status") or {}).get("replicas", 0)
        if size_of(sets.stable) != to_stable or there != to_stable:
            return False
    return not any(available(each) for each in sets.others)


def name_of(each: Object) -> str:
    return str(each["metadata"]["name"])


def size_of(each: Object) -> int:
    return int(each["spec"]["replicas"])


def available(each: Object) -> int:
    return int((each.get("status") or {}).get("availableReplicas", 0))
