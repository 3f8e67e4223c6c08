"""The arithmetic of rolling updates: surge, unavailable, and shares of a scaling."""

import math
from collections.abc import Iterable, Sequence

from portal.embedded.cluster.store import Object

MAXIMUM = "deployment.kubernetes.io/max-replicas"


def share(value: int | str, total: int, *, up: bool) -> int:
    """A number or percentage of a total, rounded up or down."""
    if isinstance(value, int):
        return value
    exact = total * int(value.rstrip("%")) / 100
    return math.ceil(exact) if up else math.floor(exact)


def limits(deployment: Object) -> tuple[int, int]:
    """How many pods there may be too many, and how many too few; not both none."""
    spec = deployment["spec"]
    if spec["strategy"]["type"] != "RollingUpdate":
        return 0, 0
    update = spec["strategy"].get("rollingUpdate") or {}
    surge = share(update.get("maxSurge", "25%"), spec["replicas"], up=True)
    missing = share(update.get("maxUnavailable", "25%"), spec["replicas"], up=False)
    if surge == 0 and missing == 0:
        missing = 1
    return surge, missing


def unavailable(deployment: Object) -> int:
    replicas: int = deployment["spec"]["replicas"]
    return min(limits(deployment)[1], replicas)


def most(deployment: Object) -> int:
    """Replicas and surge together."""
    replicas: int = deployment["spec"]["replicas"]
    return replicas + limits(deployment)[0]


def wanted(sets: Iterable[Object]) -> int:
    return sum(each["spec"]["replicas"] for each in sets)


def counted(sets: Iterable[Object], name: str) -> int:
    return sum((each.get("status") or {}).get(name, 0) for each in sets)


def new_size(deployment: Object, new: Object | None, sets: Sequence[Object]) -> int:
    """To how many replicas the new ReplicaSet may grow now."""
    replicas: int = deployment["spec"]["replicas"]
    own = new["spec"]["replicas"] if new else 0
    if deployment["spec"]["strategy"]["type"] == "Recreate":
        return replicas
    room = most(deployment) - wanted(sets)
    if room <= 0:
        return int(own)
    return int(own + min(room, replicas - own))


def shrink_old(deployment: Object, new: Object, old: Sequence[Object]) -> dict[str, int]:
    """New sizes of old ReplicaSets by name: unhealthy pods first, then what may be missing."""
    least = deployment["spec"]["replicas"] - unavailable(deployment)
    available = (new.get("status") or {}).get("availableReplicas", 0)
    not_available = new["spec"]["replicas"] - available
    room = wanted([*old, new]) - least - not_available
    if room <= 0:
        return {}
    sizes = {each["metadata"]["name"]: each["spec"]["replicas"] for each in old}
    before = dict(sizes)
    for each in old:
        healthy = (each.get("status") or {}).get("availableReplicas", 0)
        step = min(room, max(each["spec"]["replicas"] - healthy, 0))
        sizes[each["metadata"]["name"]] -= step
        room -= step
    spare = counted([*old, new], "availableReplicas") - least
    for each in old:
        name = each["metadata"]["name"]
        step = min(sizes[name], max(spare, 0))
        sizes[name] -= step
        spare -= step
    return {name: size for name, size in sizes.items() if size != before[name]}


def proportional(deployment: Object, sets: Sequence[Object]) -> dict[str, int]:
    """New sizes when a Deployment is scaled amid a rollout: each ReplicaSet by its share."""
    replicas = deployment["spec"]["replicas"]
    allowed = most(deployment) if replicas > 0 else 0
    to_add = allowed - wanted(sets)
    ordered = sorted(sets, key=lambda each: each["metadata"]["creationTimestamp"], reverse=to_add > 0)
    ordered.sort(key=lambda each: each["spec"]["replicas"], reverse=True)
    sizes: dict[str, int] = {}
    added = 0
    for each in ordered:
        part = _part(deployment, each, to_add=to_add, added=added)
        sizes[each["metadata"]["name"]] = each["spec"]["replicas"] + part
        added += part
    if ordered and to_add != added:
        first = ordered[0]["metadata"]["name"]
        sizes[first] = max(sizes[first] + to_add - added, 0)
    return sizes


def _part(deployment: Object, each: Object, *, to_add: int, added: int) -> int:
    own = each["spec"]["replicas"]
    if own == 0 or to_add in (0, added):
        return 0
    if deployment["spec"]["replicas"] == 0:
        return -int(own)
    noted = int(
        (each["metadata"].get("annotations") or {}).get(MAXIMUM, deployment["status"].get("replicas", 1)) or 1
    )
    # Half a pod rounds away from zero, as Go's math does and Python's does not.
    part: int = math.floor(own * most(deployment) / noted + 0.5) - own
    room = to_add - added
    return min(part, room) if to_add > 0 else max(part, room)
