"""Preflight: is there room for the pods that a rollout has besides those that run, on nodes and in quotas?

(reference-systems.md 2: CPU and memory headroom.) The members of a wave go out together, waves one after the
other: what one wave needs at its peak is what counts, sizes that the plan's steps set among it.
"""

import math
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from decimal import Decimal

from portal.errors import PermanentError
from portal.integrations.kubernetes.headroom import (
    Act,
    Need,
    first_without_room,
    needs_of,
    over_quota,
    rooms,
)
from portal.integrations.kubernetes.workloads import Workload
from portal.sentences import kept
from releases.rollouts.models import Step
from releases.rollouts.states import Direction
from releases.rollouts.steps.colours import FindColours
from releases.rollouts.steps.kind import Json, Outcome, Planned, StepKind, Verdict, Work, done, failed
from releases.rollouts.steps.record_running import autoscaler
from releases.rollouts.steps.scale import Scale

FORBIDDEN = "forbidden"
MEBIBYTE = 2**20
# Pods that have ended hold nothing.
LIVING = "status.phase!=Succeeded,status.phase!=Failed"
# These give a workload new pods while its old ones run.
SURGING = frozenset({"set_image", "helm_upgrade", "restart", "set_resources"})


class Headroom(StepKind):
    """Reckons with what pods ask for, as the scheduler does."""

    name = "headroom"
    measures = True
    reckons = True

    def plan(self, work: Work) -> Planned:
        """Name what has no room before anybody starts."""
        return Planned(error=self.observe(work).failure)

    def observe(self, work: Work) -> Outcome:
        """Look once; an account that may not look gives no clear result."""
        try:
            waves = _needs(work)
            return _in_quotas(work, waves) or _on_nodes(work, waves)
        except PermanentError as error:
            if error.code != FORBIDDEN:
                raise
            observed = {"code": "headroom_unseen", "args": {"message": kept(error.detail)}}
            return Outcome(verdict=Verdict.INCONCLUSIVE, observed=observed)


def _needs(work: Work) -> list[list[Need]]:
    """What each wave needs; a workload that nobody can read is named by the steps that change it."""
    waves: dict[int, list[Act]] = {}
    work = replace(work, siblings=list(_with_colours(work)))
    for step in work.siblings:
        waves.setdefault(step.wave, []).extend(_acts(work, step))
    return needs_of(waves[number] for number in sorted(waves))


def _acts(work: Work, step: Step) -> Iterator[Act]:
    """What a step asks of each workload that it changes."""
    if step.kind not in SURGING and step.kind != Scale.name:
        return
    for document in _changed(step):
        seen = _workload(work, document)
        if seen is None:
            continue
        if step.kind in SURGING:
            yield Act(workload=seen)
        elif (size := _size(work, step, seen)) is not None:
            yield Act(workload=seen, size=size)


def _size(work: Work, step: Step, seen: Workload) -> int | None:
    """The pods that a size leaves to a workload; None where the step itself says why it can't be reached."""
    if step.params.get("recorded"):
        return seen.replicas
    try:
        low, high = Scale().wanted(replace(work, step=step), autoscaler(work, seen))
    except PermanentError:
        return None
    return min(max(seen.replicas, low), high)


def _with_colours(work: Work) -> Iterator[Step]:
    """The steps on the way forward; what idle and live mean is found here before the plan itself finds it."""
    known: dict[int, Json] = {}
    for step in work.siblings:
        if step.kind == FindColours.name:
            known |= {id(each): params for each, params in _colours(work, step)}
    for step in work.siblings:
        if step.direction == Direction.FORWARD:
            found = copy(step)
            found.params = {**step.params, **known.get(id(step), {})}
            yield found


def _colours(work: Work, step: Step) -> Sequence[tuple[Step, Json]]:
    """What the steps of a service in two colours work on; nothing where that can't be known."""
    return FindColours().observe(replace(work, step=step)).resolved


def _changed(step: Step) -> list[Json]:
    """The workloads that a step gives new pods; Helm gives them to several at once."""
    one = step.params.get("workload")
    return [one] if one else list(step.params.get("workloads") or [])


def _workload(work: Work, document: Json) -> Workload | None:
    kind = document.get("kind", "Deployment")
    return next((each for each in work.workloads(kind) if each.reference.name == document["name"]), None)


def _in_quotas(work: Work, waves: Sequence[Sequence[Need]]) -> Outcome | None:
    quotas = work.collection("resourcequotas")
    for needs in waves:
        over = over_quota(needs, quotas)
        if over is not None:
            quota, resource, needed, left = over
            amounts = {"needed": _written(resource, needed), "left": _written(resource, left)}
            return failed("quota_exceeded", args={"quota": quota, "resource": resource, **amounts})
    return None


def _on_nodes(work: Work, waves: Sequence[Sequence[Need]]) -> Outcome:
    cluster = work.cluster
    nodes = cluster.get("/api/v1/nodes").get("items") or []
    pods = cluster.get("/api/v1/pods", fieldSelector=LIVING).get("items") or []
    found = rooms(nodes, pods)
    for needs in waves:
        lacking = first_without_room(needs, found)
        if lacking is not None:
            need, count = lacking
            return failed("headroom_missing", args={"name": need.name, "count": count, **_each(need)})
    most = max((sum(need.pods for need in needs) for needs in waves), default=0)
    return done("headroom_there", args={"pods": most, "nodes": len(found)})


def _each(need: Need) -> Json:
    """What one of the pods asks for."""
    return {name: _written(name, need.each.get(name, Decimal())) for name in ("cpu", "memory")}


def _written(resource: str, amount: Decimal) -> str:
    """An amount as people write it."""
    if resource.endswith(("memory", "storage")):
        return f"{math.ceil(amount / MEBIBYTE)}Mi"
    return f"{amount.normalize():f}"
