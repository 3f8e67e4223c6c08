"""The share that a canary really has now, for the page: of the pods, or of the traffic by its weight.

And the shares or sizes that a service is to go through.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.utils.translation import gettext as _

from releases.rollouts.models import Step

Json = dict[str, Any]
WHOLE = 100
# More of them than this are told by the first and the last.
MOST_STAGES = 5


def share_text(steps: Sequence[Step]) -> str:
    """Say how much a service's canary has, by what its steps saw; "" where it has none yet."""
    seen = _weighed(steps)
    if seen is not None and "total" not in seen:
        return _("canary {percent} % of the traffic").format(percent=seen["weight"])
    if seen is not None:
        return _of_pods(int(seen["weight"]), int(seen["updated"]), int(seen["total"]))
    pods = _pods(steps)
    if not pods:
        return ""
    canary, total = pods[0], sum(pods)
    return _of_pods(round(canary * WHOLE / total) if total else 0, canary, total)


def stages_text(steps: Iterable[Step]) -> str:
    """Say which shares or sizes a service goes through; "" where it is one step from old to new."""
    rows = list(steps)
    shares = _each_once((each.params.get("share") or each.params).get("percent") for each in rows)
    if shares:
        return f"{_joined(_each_once([*shares, WHOLE]))} %"
    sizes = _each_once(each.params.get("replicas") for each in rows if each.kind == "scale")
    return _joined(sizes) if len(sizes) > 1 else ""


def _each_once(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(value for value in values if value is not None))


def _joined(stages: Sequence[object]) -> str:
    told = [*stages[: MOST_STAGES - 2], "…", stages[-1]] if len(stages) > MOST_STAGES else stages
    return " → ".join(map(str, told))


def _of_pods(percent: int, canary: int, total: int) -> str:
    return _("canary {percent} %: {canary} of {total} pods").format(
        percent=percent, canary=canary, total=total
    )


def _weighed(steps: Iterable[Step]) -> Json | None:
    """What was seen last of a weight; a Rollout's comes with its pods, which have it where nothing routes."""
    found = [each.observed for each in steps if "weight" in each.observed]
    return found[-1] if found else None


def _pods(steps: Sequence[Step]) -> tuple[int, int] | None:
    """Ready pods of canary and stable: as scaled last, else as they were at the start."""
    share = next((each.params["share"] for each in steps if "share" in each.params), None)
    ready: dict[str, int] = {}
    begun = False
    for each in steps:
        name = str((each.params.get("workload") or {}).get("name"))
        if each.kind == "record_running" and each.before:
            ready[name] = int(each.before["replicas"])
        elif each.kind == "scale" and each.acted and "ready" in each.observed:
            ready[name] = int(each.observed["ready"])
            begun = True
    if share is None or not begun:
        return None
    return ready.get(share["canary"], 0), ready.get(share["stable"], 0)
