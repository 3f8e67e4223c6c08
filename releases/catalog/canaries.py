"""A canary as single steps: a share of the pods or of the traffic gets the new version first. Pure.

Each share is reached and then watched, where the plan says how. At the end the stable workload gets the
version, and the canary returns to the size that it had; of two that take turns the canary stays, and the
other one is without pods (protocols.md, A6; reference-systems.md 3).
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from releases.catalog import watches

Json = dict[str, Any]
# Steps that may run side by side.
Stage = list[Json]

PODS, WEIGHT = "pods", "weight"
WHOLE = 100
# What looks at pods looks at the canary's alone: those of the other one have the version of before.
OF_PODS = frozenset({"wait_rollout", "log_pattern", "health", watches.KIND})


def canary_pods(total: int, percent: int) -> int:
    """The pods of the canary that come nearest to a share of all, ties up; one at least."""
    return max(1, (total * percent + WHOLE // 2) // WHOLE)


def stable_pods(total: int, percent: int) -> int:
    """What the stable workload keeps of them; one at least, until the canary has all."""
    return 0 if percent == WHOLE else max(1, total - canary_pods(total, percent))


def carrying_pods(stable: int, percent: int) -> int:
    """The pods that carry a share of the traffic as the stable workload's carry all of it."""
    return max(1, -(-stable * percent // WHOLE))


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The two workloads of a canary, as the documents of steps name them.

    Of two that take turns the names are found at the start: the canary is the colour that rests.
    """

    stable: Json
    canary: Json
    names: Json
    route: Json = field(default_factory=dict)

    @classmethod
    def of(cls, service: Mapping[str, Any]) -> "Pair":
        """Take them from a service's `canary`: {"stable", "canary", "route"?}."""
        names = {key: str(service[key]) for key in ("stable", "canary")}
        roles = {key: {"workload": name} for key, name in names.items()}
        return cls(**roles, names=names, route={key: service[key] for key in ("route",) if key in service})

    @property
    def takes_turns(self) -> bool:
        """Whether the canary stays, and is what the next one is measured by."""
        return not self.names


TURNS = Pair(stable={"colour": "live"}, canary={"colour": "idle"}, names={})


def pair_of(plan: Mapping[str, Any], service: Mapping[str, Any]) -> Pair | None:
    """Return the workloads by which a plan's canary brings out a service; None where it goes out otherwise.

    Args:
        plan: the plan's `canary`; nothing where it has none.
        service: the service's document.
    """
    if plan and "canary" in service:
        return Pair.of(service["canary"])
    in_turns = plan.get("by") == PODS and take_turns(service)
    return TURNS if in_turns else None


def take_turns(service: Mapping[str, Any]) -> bool:
    """Whether a service's two colours stand behind the same Services: the one that has pods is live."""
    return (service.get("colours") or {}).get("by") == PODS


def stages(plan: Mapping[str, Any], pair: Pair, each: Sequence[Mapping[str, Any]]) -> Iterator[Stage]:
    """Yield the steps of a service with a canary: stages one after the other, a stage's steps side by side.

    Args:
        plan: the plan's `canary`: {"by", "steps", "watch"?}.
        each: what the plan does with the stable workload, and with all others.
    """
    yield from (_in_turns if pair.takes_turns else _handed_over)(plan, pair, each)


def _in_turns(plan: Mapping[str, Any], pair: Pair, each: Sequence[Mapping[str, Any]]) -> Iterator[Stage]:
    """The canary grows to the whole, and what the plan checks is checked before the last old pods go."""
    left = yield from _shares(plan, pair, each)
    yield [_grown(plan, pair, WHOLE), *left]
    of_it = ({**pair.canary, **one} if one["kind"] in OF_PODS else dict(one) for one in each)
    yield from ([one] for one in of_it if one["kind"] != "set_image")
    yield [_led(plan, pair, WHOLE)]
    yield from _watched(plan, pair, WHOLE)


def _handed_over(plan: Mapping[str, Any], pair: Pair, each: Sequence[Mapping[str, Any]]) -> Iterator[Stage]:
    """The stable workload gets the version after the last share, then all is as large, and led, as before."""
    left = yield from _shares(plan, pair, each)
    if left:
        yield left
    # Its size comes after them: beside its image it would bring more pods of the old version.
    yield from ([dict(document)] for document in each)
    if plan["by"] == WEIGHT:
        yield [{"id": f"canary.{WHOLE}.weight", "kind": "set_weight", "recorded": True, **pair.route}]
    else:
        yield [_sized(f"canary.{WHOLE}.stable", pair.stable)]
    yield [{**_sized(f"canary.{WHOLE}.scale", pair.canary), "cleanup": True}]
    # The canary is gone from here on: what carries the version is the stable workload.
    yield from _watched(plan, replace(pair, names={**pair.names, "canary": pair.names["stable"]}), WHOLE)


def _shares(
    plan: Mapping[str, Any], pair: Pair, each: Sequence[Mapping[str, Any]]
) -> Generator[Stage, None, Stage]:
    """Until the canary has all but the whole: each share is reached, and watched before the next.

    Where nobody watches, the canary grows for the next share while the stable workload still gives up its
    pods for this one: no pod goes for a share before those of the canary are ready. What grows begins first.

    Returns:
        what the next stage still has to do beside its own.
    """
    image, waited = (
        {"id": f"canary.{kind}", "kind": kind, **pair.canary} for kind in ("set_image", "wait_rollout")
    )
    own = next((one for one in each if one["kind"] == "wait_rollout"), {})
    waited |= {key: own[key] for key in ("settleSeconds",) if key in own}
    yield [image]
    left: Stage = [waited]
    for percent in plan["steps"]:
        if percent == WHOLE:
            break
        yield [_grown(plan, pair, percent), *left]
        left = [_led(plan, pair, percent)]
        if "watch" in plan:
            yield left
            yield from _watched(plan, pair, percent)
            left = []
    return left


def _grown(plan: Mapping[str, Any], pair: Pair, percent: int) -> Json:
    """The canary grows first, so that there is never less than was there."""
    return _shared(plan, pair, percent, f"canary.{percent}.scale", pair.canary)


def _led(plan: Mapping[str, Any], pair: Pair, percent: int) -> Json:
    """The canary gets its share: of the pods as the stable workload shrinks, or of the traffic."""
    if plan["by"] == PODS:
        return _shared(plan, pair, percent, f"canary.{percent}.stable", pair.stable)
    return {"id": f"canary.{percent}.weight", "kind": "set_weight", "percent": percent, **pair.route}


def _shared(plan: Mapping[str, Any], pair: Pair, percent: int, key: str, workload: Json) -> Json:
    share = {"percent": percent, "by": plan["by"], **pair.names}
    return {"id": key, "kind": "scale", **workload, "share": share}


def _sized(key: str, workload: Json) -> Json:
    return {"id": key, "kind": "scale", "recorded": True, **workload}


def _watched(plan: Mapping[str, Any], pair: Pair, percent: int) -> Iterator[Stage]:
    """Watch a share, where the plan says how."""
    if "watch" in plan:
        about = {"pair": pair.names, "percent": percent, **(pair.canary if pair.takes_turns else {})}
        yield [{**plan["watch"], "id": f"canary.{percent}.watch", "kind": "watch", **about}]
