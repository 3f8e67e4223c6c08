"""A canary as single steps: a share of the pods or of the traffic gets the new version first. Pure.

Each share is reached and then watched. At the end the stable workload gets the version, and the canary
returns to the size that it had (protocols.md, A6; reference-systems.md 3).
"""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

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


def steps_before(plan: Mapping[str, Any], service: Mapping[str, Any]) -> list[Json]:
    """The steps until the stable workload may get the version.

    Args:
        plan: the plan's `canary`: {"by", "steps", "watch"}.
        service: the service's `canary`: {"stable", "canary", "route"?}.
    """
    kinds = ("set_image", "wait_rollout")
    steps: list[Json] = [
        {"id": f"canary.{kind}", "kind": kind, "workload": service["canary"]} for kind in kinds
    ]
    for percent in plan["steps"]:
        if percent < WHOLE:
            steps += [*_reached(plan, service, percent), _watched(plan, service, percent)]
    return steps


def steps_after(plan: Mapping[str, Any], service: Mapping[str, Any]) -> list[Json]:
    """The steps once the stable workload runs the version: all is as large, and led, as it was before."""
    sized = {"kind": "scale", "recorded": True}
    canary = {**sized, "id": f"canary.{WHOLE}.scale", "workload": service["canary"], "cleanup": True}
    if plan["by"] == WEIGHT:
        weight = {"id": f"canary.{WHOLE}.weight", "kind": "set_weight", "recorded": True}
        first = {**weight, **_route(service)}
    else:
        first = {**sized, "id": f"canary.{WHOLE}.stable", "workload": service["stable"]}
    # The canary is gone from here on: what carries the version is the stable workload.
    return [first, canary, _watched(plan, {**service, "canary": service["stable"]}, WHOLE)]


def _reached(plan: Mapping[str, Any], service: Mapping[str, Any], percent: int) -> list[Json]:
    """The canary grows first, so that there is never less than was there."""
    share = {"percent": percent, "by": plan["by"], "stable": service["stable"], "canary": service["canary"]}
    grown = {"id": f"canary.{percent}.scale", "kind": "scale", "workload": service["canary"], "share": share}
    if plan["by"] == WEIGHT:
        weight = {"id": f"canary.{percent}.weight", "kind": "set_weight", "percent": percent}
        return [grown, {**weight, **_route(service)}]
    shrunk = {**grown, "id": f"canary.{percent}.stable", "workload": service["stable"]}
    return [grown, shrunk]


def _watched(plan: Mapping[str, Any], service: Mapping[str, Any], percent: int) -> Json:
    pair = {"stable": service["stable"], "canary": service["canary"]}
    step = {"id": f"canary.{percent}.watch", "kind": "watch", "pair": pair, "percent": percent}
    return {**plan["watch"], **step}


def _route(service: Mapping[str, Any]) -> Json:
    return {"route": service["route"]}
