"""How much room nodes and quotas have left, and whether more pods of some kinds fit into it. Pure.

As the scheduler reckons: by what pods ask for, not by what they use. Affinities and spreading are not looked
at; what fits here may still find no node, what does not fit finds none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

from portal.integrations.kubernetes.amounts import quantity
from portal.integrations.kubernetes.rollout_status import condition
from portal.integrations.kubernetes.workloads import DAEMON_SET, ROLLOUT, Json, Reference, Workload

Amounts = dict[str, Decimal]
PODS = "pods"
# What a node runs out of; a pod itself takes one of its places for pods.
COUNTED = ("cpu", "memory", "ephemeral-storage", PODS)
ENDED = frozenset({"Succeeded", "Failed"})
# A quota may name what is asked for in short.
QUOTA_NAMES = {"cpu": "requests.cpu", "memory": "requests.memory", "count/pods": PODS}
DEFAULT_SURGE = "25%"
WHOLE_PERCENT = 100
FORBIDS = frozenset({"NoSchedule", "NoExecute"})


@dataclass(frozen=True, kw_only=True)
class Need:
    """So many more pods with this template than run now.

    Attributes:
        apart: no two of them on one node, and none on a node that is not there: those of a DaemonSet.
    """

    name: str
    pods: int
    spec: Json
    apart: bool = False

    @property
    def each(self) -> Amounts:
        """What one of them asks for."""
        return asked_by(self.spec)


@dataclass(kw_only=True)
class Room:
    """What a node has left, and which of its ports are taken."""

    node: Json
    left: Amounts
    ports: set[int] = field(default_factory=set)

    def takes(self, spec: Json) -> bool:
        """Whether a pod may come here at all."""
        return _may_come(spec, self.node) and not self.ports & fixed_ports(spec)

    def fits(self, asked: Amounts) -> bool:
        """Whether it has what the pod asks for."""
        return all(self.left.get(name, Decimal()) >= asked[name] for name in COUNTED if asked.get(name))


def fixed_ports(spec: Mapping[str, Any]) -> set[int]:
    """The ports that a pod takes of its node: no second one of it has place there."""
    ports = [port for each in spec.get("containers") or [] for port in each.get("ports") or []]
    key = "containerPort" if spec.get("hostNetwork") else "hostPort"
    return {int(port[key]) for port in ports if port.get(key)}


@dataclass(frozen=True, kw_only=True)
class Act:
    """What a step asks of a workload: another size; without one, new pods in place of those that run."""

    workload: Workload
    size: int | None = None


@dataclass(kw_only=True)
class _Growth:
    """A workload on its way through the waves.

    Attributes:
        size: what is wanted once the steps so far are done; never less than now, for what a step shrinks
            may be held up, and is no room for others.
        most: the most that was wanted in this wave.
        peak: the most pods of this wave besides those that run now.
    """

    workload: Workload
    size: int
    most: int
    peak: int = 0

    def begin_wave(self) -> None:
        """What was grown before is there still."""
        self.most, self.peak = self.size, self.size - self.workload.replicas

    def take(self, size: int | None) -> None:
        """Reckon with one more step."""
        now = self.workload.replicas
        if size is None:
            self.peak = max(self.peak, self.most - now + surge_of(self.workload, self.most))
            return
        self.size = max(now, size)
        self.most = max(self.most, self.size)
        self.peak = max(self.peak, self.most - now)


def needs_of(waves: Iterable[Sequence[Act]]) -> list[list[Need]]:
    """What each wave needs at its peak besides what runs now.

    Waves come one after the other; all of one may go on at once. What a wave has grown stays until a later
    step shrinks it.

    Args:
        waves: the steps of each, in their order.
    """
    grown: dict[Reference, _Growth] = {}
    found = []
    for acts in waves:
        for growth in grown.values():
            growth.begin_wave()
        for act in acts:
            seen, now = act.workload, act.workload.replicas
            grown.setdefault(seen.reference, _Growth(workload=seen, size=now, most=now)).take(act.size)
        found.append([_need(each.workload, each.peak) for each in grown.values() if each.peak])
    return found


def _need(seen: Workload, pods: int) -> Need:
    apart = seen.reference.kind == DAEMON_SET
    return Need(name=str(seen.reference), pods=pods, spec=seen.template["spec"], apart=apart)


def surge_of(workload: Workload, replicas: int | None = None) -> int:
    """How many pods there are at most beside those that are wanted, while new ones come.

    Args:
        replicas: how many are wanted then; as many as now without it.
    """
    wanted = workload.replicas if replicas is None else replicas
    strategy = workload.spec.get("strategy") or {}
    if workload.reference.kind == "Deployment":
        if strategy.get("type") == "Recreate":
            return 0
        return share_of((strategy.get("rollingUpdate") or {}).get("maxSurge"), wanted)
    if workload.reference.kind == ROLLOUT:
        return _surge_of_a_rollout(strategy, wanted)
    if workload.reference.kind == DAEMON_SET and workload.rolls:
        rolling = (workload.spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
        return share_of(rolling.get("maxSurge") or 0, wanted)
    return 0


def _surge_of_a_rollout(strategy: Json, wanted: int) -> int:
    """Blue-green, and a canary with routed traffic, hold the old pods until all new ones are there."""
    canary = strategy.get("canary") or {}
    if "blueGreen" in strategy:
        return wanted
    if canary.get("trafficRouting"):
        return _largest_jump(canary, wanted) if canary.get("dynamicStableScale") else wanted
    return share_of(canary.get("maxSurge"), wanted)


def _largest_jump(canary: Json, wanted: int) -> int:
    """The canary's pods of one step, which come before as many of the old ones go."""
    steps = canary.get("steps") or []
    weights = [0, *(int(each["setWeight"]) for each in steps if "setWeight" in each), WHOLE_PERCENT]
    jumps = [after - before for before, after in pairwise(weights)]
    return share_of(f"{max(jumps)}%", wanted)


def share_of(amount: object, replicas: int) -> int:
    """Return a number as it is, or a percentage of the replicas rounded up."""
    text = str(DEFAULT_SURGE if amount is None else amount)
    return -(-replicas * int(text[:-1]) // 100) if text.endswith("%") else int(text)


def asked_by(spec: Mapping[str, Any], *, field: str = "requests") -> Amounts:
    """What a pod asks for: all its containers together, or its greediest init container; and a place.

    Args:
        field: "limits" for the most that it may use.
    """
    together = _summed(_amounts(each, field) for each in spec.get("containers") or [])
    for each in spec.get("initContainers") or []:
        alone = _amounts(each, field)
        if each.get("restartPolicy") == "Always":
            together = _summed([together, alone])
        else:
            together = {
                name: max(together.get(name, Decimal()), alone.get(name, Decimal()))
                for name in {*together, *alone}
            }
    overhead = {name: quantity(amount) for name, amount in (spec.get("overhead") or {}).items()}
    return {**_summed([together, overhead]), PODS: Decimal(1)}


def rooms(nodes: Iterable[Json], pods: Iterable[Json]) -> list[Room]:
    """What each node that takes pods has left, after all that were given to it."""
    taken: dict[str, list[Json]] = {}
    for pod in pods:
        if (pod.get("status") or {}).get("phase") not in ENDED and pod["spec"].get("nodeName"):
            taken.setdefault(pod["spec"]["nodeName"], []).append(pod["spec"])
    found = []
    for node in nodes:
        if (node.get("spec") or {}).get("unschedulable") or condition(node["status"], "Ready").get(
            "status"
        ) != "True":
            continue
        has = {name: quantity(amount) for name, amount in (node["status"].get("allocatable") or {}).items()}
        here = taken.get(node["metadata"]["name"], [])
        gone = _summed(map(asked_by, here))
        left = {name: has.get(name, Decimal()) - gone.get(name, Decimal()) for name in COUNTED}
        ports = {port for spec in here for port in fixed_ports(spec)}
        found.append(Room(node=node, left=left, ports=ports))
    return found


def first_without_room(needs: Sequence[Need], found: Sequence[Room]) -> tuple[Need, int] | None:
    """Place all pods, the greediest first; return what does not fit and how many of it, None where all do."""
    left = [replace(room) for room in found]
    for need in sorted(needs, key=lambda each: (-each.each.get("memory", Decimal()), each.name)):
        offered = [each for each in left if each.takes(need.spec)]
        # Where its nodes don't take pods now, a DaemonSet has none to replace there.
        pods = min(need.pods, len(offered)) if need.apart else need.pods
        for placed in range(pods):
            room = next((each for each in offered if each.takes(need.spec) and each.fits(need.each)), None)
            if room is None:
                return need, pods - placed
            _take(room, need)
            if need.apart:
                offered.remove(room)
    return None


def _take(room: Room, need: Need) -> None:
    room.left = {name: room.left[name] - need.each.get(name, Decimal()) for name in COUNTED}
    room.ports = room.ports | fixed_ports(need.spec)


def over_quota(needs: Sequence[Need], quotas: Iterable[Json]) -> tuple[str, str, Decimal, Decimal] | None:
    """Return (quota, resource, needed, left) of the first that the pods would exceed.

    A quota for some pods only is left out: which ones it counts only the cluster knows.
    """
    wanted: Amounts = {}
    for need in needs:
        for prefix, amounts in (("requests.", need.each), ("limits.", asked_by(need.spec, field="limits"))):
            for name, amount in amounts.items():
                key = PODS if name == PODS else f"{prefix}{name}"
                if key != PODS or prefix == "requests.":
                    wanted[key] = wanted.get(key, Decimal()) + amount * need.pods
    for quota in quotas:
        spec, used = quota.get("spec") or {}, (quota.get("status") or {}).get("used") or {}
        if spec.get("scopes") or spec.get("scopeSelector"):
            continue
        for name, hard in sorted((spec.get("hard") or {}).items()):
            left = quantity(hard) - quantity(used.get(name) or "0")
            needed = wanted.get(QUOTA_NAMES.get(name, name), Decimal())
            if needed > left:
                return quota["metadata"]["name"], name, needed, left
    return None


def _amounts(container: Mapping[str, Any], field: str) -> Amounts:
    """What a container asks for; where it only has a limit, that is what it asks for."""
    resources = container.get("resources") or {}
    found = {**(resources.get("limits") or {}), **(resources.get(field) or {})}
    return {name: quantity(amount) for name, amount in found.items()}


def _summed(found: Iterable[Amounts]) -> Amounts:
    total: Amounts = {}
    for amounts in found:
        for name, amount in amounts.items():
            total[name] = total.get(name, Decimal()) + amount
    return total


def _may_come(spec: Mapping[str, Any], node: Json) -> bool:
    labels = node["metadata"].get("labels") or {}
    if not (spec.get("nodeSelector") or {}).items() <= labels.items():
        return False
    taints = [each for each in (node.get("spec") or {}).get("taints") or [] if each.get("effect") in FORBIDS]
    return all(any(_tolerates(each, taint) for each in spec.get("tolerations") or []) for taint in taints)


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in {None, "", taint.get("effect")}:
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in {None, "", taint["key"]}
    return (toleration.get("key"), toleration.get("value") or "") == (taint["key"], taint.get("value") or "")
