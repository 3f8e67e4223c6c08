"""The share that a canary really has now, for the page: of the traffic by its weight, else of the pods."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.utils.translation import gettext as _

from releases.rollouts.models import Step

Json = dict[str, Any]
WHOLE = 100


def share_text(steps: Sequence[Step]) -> str:
    """Say how much a service's canary has, by what its steps saw; "" where it has none yet."""
    weight = _weight(steps)
    if weight is not None:
        return _("canary {percent} % of the traffic").format(percent=weight)
    pods = _pods(steps)
    if not pods:
        return ""
    canary, stable = pods
    percent = round(canary * WHOLE / (canary + stable)) if canary + stable else 0
    return _("canary {percent} %: {canary} of {total} pods").format(
        percent=percent, canary=canary, total=canary + stable
    )


def _weight(steps: Iterable[Step]) -> int | None:
    found = [each.observed["weight"] for each in steps if "weight" in each.observed]
    return int(found[-1]) if found else None


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
