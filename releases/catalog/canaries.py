"""A canary as single steps: a share of the pods or of the traffic gets the new version first. Pure.

Each share is reached and then watched, where the plan says how. At the end the stable workload gets the
version, and the canary returns to the size that it had (protocols.md, A6; reference-systems.md 3).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Json = dict[str, Any]
# Steps that may run side by side.
Stage = list[Json]

PODS, WEIGHT = "pods", "weight"
WHOLE = 100


def canary_pods(total: int, percent: int) -> int:
    """The pods of the canary that come nearest to a share of all, ties up; one at least."""
    return max(1, (total * percent + WHOLE // 2) // WHOLE)


def stable_pods(total: int, percent: int) -> int:
    """What the stable workload keeps of them; one at least."""
    return max(1, total - canary_pods(total, percent))


def carrying_pods(stable: int, percent: int) -> int:
    """The pods that carry a share of the traffic as the stable workload's carry all of it."""
    return max(1, -(-stable * percent // WHOLE))


def stages(
    plan: Mapping[str, Any], service: Mapping[str, Any], each: Sequence[Mapping[str, Any]]
) -> Iterator[Stage]:
    """Yield the steps of a service with a canary: stages one after the other, a stage's steps side by side.

    Args:
        plan: the plan's `canary`: {"by", "steps", "watch"?}.
        service: the service's `canary`: {"stable", "canary", "route"?}.
        each: what the plan does with the stable workload, and with all others.
    """
    yield from _before(plan, service)
    # Its size comes after them: beside its image it would bring more pods of the old version.
    yield from ([dict(document)] for document in each)
    yield from _after(plan, service)


def _before(plan: Mapping[str, Any], service: Mapping[str, Any]) -> Iterator[Stage]:
    """Until the stable workload may get the version: each share is reached, and watched before the next.

    Where nobody watches, the canary grows for the next share while the stable workload still gives up its
    pods for this one: no pod goes for a share before those of the canary are ready.
    """
    image, waited = (
        {"id": f"canary.{kind}", "kind": kind, "workload": service["canary"]}
        for kind in ("set_image", "wait_rollout")
    )
    yield [image]
    between: Stage = [waited]
    for percent in plan["steps"]:
        if percent == WHOLE:
            break
        yield [*between, _grown(plan, service, percent)]
        between = [_led(plan, service, percent)]
        if "watch" in plan:
            yield between
            yield from _watched(plan, service, percent)
            between = []
    if between:
        yield between


def _after(plan: Mapping[str, Any], service: Mapping[str, Any]) -> Iterator[Stage]:
    """Once the stable workload runs the version: all is as large, and led, as it was before."""
    if plan["by"] == WEIGHT:
        yield [{"id": f"canary.{WHOLE}.weight", "kind": "set_weight", "recorded": True, **_route(service)}]
    else:
        yield [_sized(f"canary.{WHOLE}.stable", service["stable"])]
    yield [{**_sized(f"canary.{WHOLE}.scale", service["canary"]), "cleanup": True}]
    # The canary is gone from here on: what carries the version is the stable workload.
    yield from _watched(plan, {**service, "canary": service["stable"]}, WHOLE)


def _grown(plan: Mapping[str, Any], service: Mapping[str, Any], percent: int) -> Json:
    """The canary grows first, so that there is never less than was there."""
    return _shared(plan, service, percent, f"canary.{percent}.scale", service["canary"])


def _led(plan: Mapping[str, Any], service: Mapping[str, Any], percent: int) -> Json:
    """The canary gets its share: of the pods as the stable workload shrinks, or of the traffic."""
    if plan["by"] == PODS:
        return _shared(plan, service, percent, f"canary.{percent}.stable", service["stable"])
    weight = {"id": f"canary.{percent}.weight", "kind": "set_weight", "percent": percent}
    return {**weight, **_route(service)}


def _shared(
    plan: Mapping[str, Any], service: Mapping[str, Any], percent: int, key: str, workload: str
) -> Json:
    share = {"percent": percent, "by": plan["by"], "stable": service["stable"], "canary": service["canary"]}
    return {"id": key, "kind": "scale", "workload": workload, "share": share}


def _sized(key: str, workload: str) -> Json:
    return {"id": key, "kind": "scale", "recorded": True, "workload": workload}


def _watched(plan: Mapping[str, Any], service: Mapping[str, Any], percent: int) -> Iterator[Stage]:
    """Watch a share, where the plan says how."""
    if "watch" in plan:
        pair = {"stable": service["stable"], "canary": service["canary"]}
        step = {"id": f"canary.{percent}.watch", "kind": "watch", "pair": pair, "percent": percent}
        yield [{**plan["watch"], **step}]


def _route(service: Mapping[str, Any]) -> Json:
    return {"route": service["route"]}
