"""Replicas of a workload, or the bounds of the autoscaler that owns them; and the way back."""

from abc import abstractmethod
from typing import Any

from portal.errors import PermanentError
from portal.integrations.kubernetes.workloads import PLURALS, Reference, Workload, pods_with
from releases.catalog import canaries
from releases.rollouts.drift import Drift, deleted, find_drift
from releases.rollouts.models import Step
from releases.rollouts.states import Direction
from releases.rollouts.steps import endings, evidence, git_owned, habits, steadiness
from releases.rollouts.steps.kind import (
    ActingKind,
    Change,
    Found,
    Json,
    Outcome,
    Planned,
    Work,
    done,
    failed,
    hold,
)
from releases.rollouts.steps.record_running import autoscaler
from releases.rollouts.steps.set_image import listed_or_held, read_or_none
from releases.rollouts.steps.settled import watched

AUTOSCALERS = "horizontalpodautoscalers"
Bounds = tuple[int, int]


class _Scaling(ActingKind):
    """Writes a size where it is decided: a workload under an autoscaler never has its replicas written."""

    def plan(self, work: Work) -> Planned:
        """Let the server check the patch without keeping it."""
        seen = work.cluster.workload(work.workload)
        owned = git_owned.refused(work, seen)
        if owned is not None:
            return Planned(error=owned.failure)
        if work.step.params.get("recorded"):
            return Planned()  # back to what is there now
        change = _change(work, seen, self.wanted(work, _owner(work, seen)))
        if isinstance(change, Found):
            return Planned()
        _write(work, change, dry_run=True)
        settles = steadiness.settle_seconds(work.step.params, seen)
        notes = habits.readiness_of(seen, settles=settles) if _is_first(work, change.changes) else []
        return Planned(changes=change.changes, notes=notes)

    def prepare(self, work: Work) -> Change | Found | Outcome:
        """Refuse what Argo CD owns, hold on foreign changes, and compare with what is wanted."""
        seen = listed_or_held(work)
        if isinstance(seen, Outcome):
            return seen
        owner = _owner(work, seen)
        found = _change(work, seen, self.wanted(work, owner))
        if isinstance(found, Found):
            return found
        owned = git_owned.refused(work, seen)
        if owned is not None:
            return owned
        return _foreign(work, seen, owner) or _with_traffic(work, found) or found

    def act(self, work: Work, change: Change) -> Json:
        """Send one patch."""
        return _write(work, change)

    def observe(self, work: Work) -> Outcome:
        """Wait until as many pods are ready, and no more are left, as is wanted."""
        seen = _answered(work) or read_or_none(work)
        if seen is None:
            return hold("drift", **deleted(str(work.workload)).args)
        low, high = (work.step.acted or {})["bounds"]
        status = seen.raw.get("status") or {}
        ready, there = int(status.get("readyReplicas") or 0), int(status.get("replicas") or 0)
        counts = {"ready": ready, "wanted": seen.replicas}
        current = int(status.get("observedGeneration") or 0) >= seen.generation
        # An autoscaler takes some seconds to hold to new bounds; at 0 it stands aside.
        reached = current and low <= seen.replicas <= high and there == ready == seen.replicas
        if reached and not _has_first_pods(work):
            return done("scaled", **counts)
        soon = None if reached else evidence.early(work, {"code": "waits_scaled", **counts})
        if soon is not None:
            return soon
        # Before its controller has seen the new size its pods have nothing to say of it.
        pods = pods_with(seen.selector, work.collection("pods")) if current else []
        # What pods say that have been told to end is no trouble.
        standing = [pod for pod in pods if not endings.is_ending(pod)]
        if reached:
            return _settled(work, seen, standing, counts)
        ending = endings.ending(pods) if there > seen.replicas else {}
        return _waiting(work, seen, {**counts, **ending}, standing)

    @abstractmethod
    def wanted(self, work: Work, owner: Json | None) -> Bounds:
        """Return the least and the most replicas; both the same where no autoscaler owns them."""


class Scale(_Scaling):
    """Brings a workload to the replicas that the plan names; an autoscaler's bounds are raised or lowered.

    A canary's steps name a share of the pods instead, or that all is as it was `recorded`.
    """

    name = "scale"

    def prepare(self, work: Work) -> Change | Found | Outcome:
        """Refuse besides to take pods for a canary that has none that are ready."""
        return _uncovered(work) or super().prepare(work)

    def wanted(self, work: Work, owner: Json | None) -> Bounds:
        """With an autoscaler the number is its least; its most changes where it is named, or would be less.

        Raises:
            PermanentError: bounds are named where no autoscaler is, or a canary shares an autoscaler's pods.
        """
        params = work.step.params
        if params.get("recorded"):
            return _recorded(work, owner)
        share = params.get("share")
        if share and share["by"] == canaries.PODS and owner is not None:
            raise PermanentError(owner["name"], code="autoscaler_owns")
        replicas = _shared(work, share) if share else int(params["replicas"])
        if params.get("at_most"):
            replicas = min(replicas, work.listed_workload(work.workload).replicas)
        most = params.get("most")
        if owner is None:
            if most is not None:
                raise PermanentError(code="no_autoscaler")
            return replicas, replicas
        return replicas, max(replicas, int(owner["max"])) if most is None else int(most)


class RestoreScale(_Scaling):
    """Undoes a scale step from what was recorded before it."""

    name = "restore_scale"

    def prepare(self, work: Work) -> Change | Found | Outcome:
        """Refuse besides to take a canary's pods while stable, which had some, has none that are ready."""
        undone = next((each for each in work.siblings if each.pk == work.step.undo_of_id), None)
        share = (undone.params.get("share") if undone is not None else None) or {}
        is_canary = work.step.params["workload"]["name"] == share.get("canary")
        is_last = is_canary and bool(_size(work, share["stable"]))
        return (_uncovered_by(work, share["stable"]) if is_last else None) or super().prepare(work)

    def wanted(self, work: Work, owner: Json | None) -> Bounds:
        """The recorded bounds, or the recorded replicas where there is no autoscaler."""
        return _recorded(work, owner)


def _recorded(work: Work, owner: Json | None) -> Bounds:
    record = work.sibling("record_running")
    if record is None or not record.before:
        raise PermanentError(code="nothing_recorded")
    before = record.before
    if owner is None:
        return int(before["replicas"]), int(before["replicas"])
    # One that came since owns the size now: nothing is written over its own bounds.
    bounds = before.get("autoscaler") or owner
    return int(bounds["min"] or 1), int(bounds["max"])


def _shared(work: Work, share: Json) -> int:
    """The pods that a canary's share leaves to this workload."""
    stable, percent = _size(work, share["stable"]), int(share["percent"])
    if share["by"] == canaries.WEIGHT:
        return canaries.carrying_pods(stable, percent)
    total = stable + _size(work, share["canary"])
    is_canary = work.step.params["workload"]["name"] == share["canary"]
    return (canaries.canary_pods if is_canary else canaries.stable_pods)(total, percent)


def _uncovered(work: Work) -> Outcome | None:
    """A step before may have been skipped, or its pods have died since: the last ones never go for none."""
    share = work.step.params.get("share") or {}
    is_stable = work.step.params["workload"]["name"] == share.get("stable")
    return _uncovered_by(work, share["canary"]) if is_stable else None


def _uncovered_by(work: Work, name: str) -> Outcome | None:
    seen = _present(work, _record_of(work, name))
    return None if seen.ready else failed("no_ready_pods", args={"names": name})


def _with_traffic(work: Work, change: Change) -> Outcome | None:
    """What was to lose its traffic before has it still where a person skipped the switch: its pods stay."""
    seen, _scaler, (low, _high) = change.payload
    clears = bool(work.step.params.get("cleanup")) or low == 0
    if not clears or low >= seen.replicas:
        return None
    labels = seen.template["metadata"].get("labels") or {}
    is_back = work.step.direction == Direction.BACK
    names = [
        name
        for name, selector in _switched(work).items()
        # A way back may lead to where there were no pods at the start either.
        if _leads(work, name, labels) and not (is_back and selector.items() <= labels.items())
    ]
    args = {"object": str(seen.reference), "names": ", ".join(names)}
    return failed("has_traffic", args=args) if names else None


def _switched(work: Work) -> dict[str, Json]:
    """The Services that this rollout leads from some pods of the service to others, as they were recorded."""
    same = ("record_services", work.step.service_id)
    steps = [each for each in work.siblings if (each.kind, each.service_id) == same and each.before]
    return {name: kept["selector"] for each in steps for name, kept in each.before.items()}


def _leads(work: Work, name: str, labels: Json) -> bool:
    seen = work.cluster.read("services", work.environment.namespace, name)
    selector: Json = ((seen or {}).get("spec") or {}).get("selector") or {}
    return bool(selector) and selector.items() <= labels.items()


def _size(work: Work, name: str) -> int:
    """The replicas of a workload at the start; those of now while a plan is only previewed."""
    record = _record_of(work, name)
    return int(record.before["replicas"]) if record.before else _present(work, record).replicas


def _record_of(work: Work, name: str) -> Step:
    """The step that records a workload of the service."""
    same = ("record_running", work.step.service_id, name)
    for each in work.siblings:
        if (each.kind, each.service_id, (each.params.get("workload") or {}).get("name")) == same:
            return each
    raise PermanentError(code="nothing_recorded")


def _present(work: Work, record: Step) -> Workload:
    named = record.params["workload"]
    namespace = work.environment.namespace
    return work.listed_workload(Reference(named.get("kind", "Deployment"), namespace, named["name"]))


def _answered(work: Work) -> Workload | None:
    """What the write was answered, for the look that belongs to it: its controller has not seen it yet."""
    reference, generation = work.workload, (work.step.acted or {}).get("generation")
    if work.step.acted_at is not None or PLURALS[reference.kind] not in work.listed:
        return None
    for each in work.workloads(reference.kind):
        is_it = (each.reference, each.generation) == (reference, generation)
        if is_it and int(each.status.get("observedGeneration") or 0) < each.generation:
            return each
    return None


def _has_first_pods(work: Work) -> bool:
    return _is_first(work, (work.step.intent or {}).get("changes") or [])


def _is_first(work: Work, changes: list[Json]) -> bool:
    """Whether they give pods to a workload that had none; those of a canary a wait beside them watches."""
    from_none = any(each["field"] == "replicas" and each["before"] == "0" for each in changes)
    return from_none and "share" not in work.step.params


def _settled(work: Work, seen: Workload, pods: list[Json], counts: Json) -> Outcome:
    """A Deployment that is scaled up from none has been complete all the while: only its pods tell."""
    flaps = bool(work.step.observed.get("flaps"))
    unprobed = {"unprobed": names} if (names := habits.unprobed_of(seen)) else {}
    seconds = steadiness.settle_seconds(work.step.params, seen, flaps=flaps)
    reached = done("scaled", **counts, **unprobed)
    return watched(work, pods, reached, seconds=seconds, baseline=_restarts_before(work))


def _restarts_before(work: Work) -> dict[str, int]:
    record = work.sibling("record_running")
    return ((record.before if record else None) or {}).get("restarts") or {}


def _waiting(work: Work, seen: Workload, counts: Json, pods: list[Json]) -> Outcome:
    observed = {"code": "waits_scaled", **counts, **steadiness.readiness(work.step.observed, pods)}
    # The first pods of a canary, of the idle colour, or where there were none: what is wrong with them is
    # said at once.
    params = work.step.params
    first = "share" in params or params.get("colour") == "idle" or _has_first_pods(work)
    early = str(seen.reference.name) if first else ""
    return evidence.waiting(work, pods, observed, baseline=_restarts_before(work), early=early)


def _owner(work: Work, seen: Workload) -> Json | None:
    """The autoscaler of a workload, read for the write; raises where it may not be read.

    Taking one that can't be read for none would fight it.
    """
    work.collection(AUTOSCALERS)
    return autoscaler(work, seen)


def _change(work: Work, seen: Workload, wanted: Bounds) -> Change | Found:
    low, high = wanted
    owner, scaler = _owner(work, seen), None
    if owner is None:
        changes = [_field(str(seen.reference), "replicas", seen.replicas, low)]
    else:
        items = work.collection(AUTOSCALERS)
        scaler = next(each for each in items if each["metadata"]["name"] == owner["name"])
        name = f"horizontalpodautoscaler/{owner['name']}"
        changes = [
            _field(name, "minReplicas", int(owner["min"] or 1), low),
            _field(name, "maxReplicas", owner["max"], high),
        ]
    changes = [each for each in changes if each["before"] != each["after"]]
    if not changes:
        return Found(acted=_remembered(seen, wanted), observed={"code": "scaled"})
    return Change(changes=changes, payload=(seen, scaler, wanted))


def _field(name: str, field: str, before: Any, after: Any) -> Json:
    return {"object": name, "field": field, "before": str(before), "after": str(after)}


def _write(work: Work, change: Change, *, dry_run: bool = False) -> Json:
    seen, scaler, wanted = change.payload
    low, high = wanted
    plural = AUTOSCALERS if scaler else PLURALS[seen.reference.kind]
    if scaler:
        body = {"metadata": {"annotations": work.mark}, "spec": {"minReplicas": low, "maxReplicas": high}}
        written = work.cluster.change(plural, scaler, body, dry_run=dry_run)
    else:
        written = work.cluster.resize(plural, seen.raw, low, annotations=work.mark, dry_run=dry_run)
    if not dry_run:
        work.know(plural, written)
    if scaler:
        return _remembered(seen, wanted)
    # Not the spec that was answered: what somebody else changed since the look would be taken for ours.
    spec, generation = {**seen.spec, "replicas": low}, written["metadata"]["generation"]
    return {**_remembered(seen, wanted), "spec": spec, "generation": generation}


def _remembered(workload: Workload, wanted: Bounds) -> Json:
    return {
        "spec": workload.spec,
        "uid": workload.uid,
        "generation": workload.generation,
        "bounds": list(wanted),
    }


def _foreign(work: Work, seen: Workload, owner: Json | None) -> Outcome | None:
    """Hold where somebody else scaled it, or gave it an autoscaler or other bounds, since it was recorded."""
    record = work.sibling("record_running")
    before = (record.before if record else None) or {}
    undone = next((each for each in work.siblings if each.pk == work.step.undo_of_id), None)
    if not before or (undone is not None and not undone.acted):
        return None  # where the act was never recorded, what stands there may be ours
    recorded = before.get("autoscaler")
    if owner is not None or recorded is not None:
        expected = _written(work) or (recorded and [recorded["min"], recorded["max"]])
        return _other_bounds(work, str(seen.reference), expected, owner)
    spec, uid = work.own_spec() or before["spec"], before["uid"]
    accepted = work.accepted_drifts
    drift = find_drift(seen, spec, uid=uid, scaled_by_others=False, accepted=accepted, of=("spec.replicas",))
    return hold("drift", **drift.args) if drift is not None else None


def _written(work: Work) -> list[int] | None:
    """The bounds that this rollout wrote last on the way forward."""
    same = (work.step.service_id, work.step.params["workload"])
    written: list[list[int]] = [
        each.acted["bounds"]
        for each in work.siblings
        if each.kind == Scale.name and (each.service_id, each.params["workload"]) == same and each.acted
    ]
    return written[-1] if written else None


def _other_bounds(work: Work, name: str, expected: object, owner: Json | None) -> Outcome | None:
    found = [owner["min"], owner["max"]] if owner else None
    if expected == found:
        return None
    drift = Drift(name, "autoscaler", "", expected, found)
    return None if drift.args in work.accepted_drifts else hold("drift", **drift.args)
