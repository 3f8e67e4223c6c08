"""Imitates the controller of Argo Rollouts: canary steps of weight and pause, promote, abort, pause by hand.

What it does not know (blue-green, analysis, experiments, traffic routers) it calls an invalid spec, so that
nobody takes its silence for success.
"""

import copy
from collections.abc import Iterable

from portal.embedded.cluster import clock, kinds
from portal.embedded.cluster.controllers import canary, canary_status, ownership
from portal.embedded.cluster.controllers.canary import Sets
from portal.embedded.cluster.controllers.revisions import by_age, template_hash
from portal.embedded.cluster.events import Events
from portal.embedded.cluster.objects import Objects, Options
from portal.embedded.cluster.store import Change, Key, Object, Store

COMPONENT = "rollouts-controller"
HASH_LABEL = "rollouts-pod-template-hash"
REVISION = "rollout.argoproj.io/revision"
DESIRED = "rollout.argoproj.io/desired-replicas"
WORKLOAD_GENERATION = "rollout.argoproj.io/workload-generation"
KNOWN_STEPS = {"setWeight", "pause"}


class Rollouts:
    def __init__(self, store: Store, objects: Objects, events: Events) -> None:
        self._store = store
        self._objects = objects
        self._events = events

    def keys(self, change: Change) -> Iterable[Key]:
        metadata = change.object["metadata"]
        if change.kind is kinds.ROLLOUTS:
            yield metadata["namespace"], metadata["name"]
        if change.kind is kinds.REPLICASETS:
            yield from ownership.owner_key(change, kinds.ROLLOUTS)
        if change.kind is kinds.DEPLOYMENTS:
            for item in self._store.every(kinds.ROLLOUTS, metadata["namespace"]):
                if (item["spec"].get("workloadRef") or {}).get("name") == metadata["name"]:
                    yield metadata["namespace"], item["metadata"]["name"]

    def sync(self, key: Key) -> float | None:
        item = self._store.get(kinds.ROLLOUTS, *key)
        if item is None or "deletionTimestamp" in item["metadata"]:
            return None
        item, wrong = self._resolved(item)
        if wrong:
            self._write(item, canary_status.invalid(item, wrong))
            return None
        digest = template_hash(_filled(item)["spec"]["template"])
        steps_hash = template_hash(canary.steps_of(item))
        if (digest, steps_hash) != tuple(map(item["status"].get, ("currentPodHash", "currentStepHash"))):
            self._write(item, canary_status.begun_anew(item, digest=digest, steps_hash=steps_hash))
            return None
        sets = self._sets(item, digest)
        if sets.new is None:
            self._make(item, digest)
            return None
        if not item["spec"].get("paused") and self._scaled(item, sets):
            sets = self._sets(item, digest)
        status = canary_status.next_status(item, sets, digest=digest, steps_hash=steps_hash)
        if self._restarted(item, sets):
            status["restartedAt"] = item["spec"]["restartAt"]
        self._tell_changes(item, status)
        written = self._write(item, status)
        begins = max(-clock.age(item["spec"].get("restartAt")), 0.0)
        return min(filter(None, (canary_status.seconds_left(written), begins)), default=None)

    def _restarted(self, item: Object, sets: Sets) -> bool:
        """Whether no pod is older than `restartAt`; the oldest goes while all others are available."""
        at = item["spec"].get("restartAt")
        if not at or item["status"].get("restartedAt") == at or clock.age(at) < 0:
            return False
        if any(canary.available(each) != canary.size_of(each) for each in sets.every):
            return False
        pods = [
            pod
            for each in sets.every
            for pod in ownership.owned(self._store, kinds.PODS, kinds.REPLICASETS, each, adopt=False)
            if clock.parse(pod["metadata"]["creationTimestamp"]) < clock.parse(at)
        ]
        if pods and not any("deletionTimestamp" in pod["metadata"] for pod in pods):
            metadata = pods[0]["metadata"]
            self._objects.delete(kinds.PODS, metadata["namespace"], metadata["name"], options=Options())
        return not pods

    def _resolved(self, item: Object) -> tuple[Object, str]:
        """The Rollout with its template, its own or of the Deployment it names; and what is wrong with it."""
        wrong = _unknown(item)
        named = item["spec"].get("workloadRef")
        if wrong or not named:
            missing = "" if item["spec"].get("template") else "Rollout has missing field '.spec.template'"
            return item, wrong or missing
        namespace = item["metadata"]["namespace"]
        found = self._store.get(kinds.DEPLOYMENTS, namespace, named["name"])
        if found is None:
            return item, f'deployments.apps "{named["name"]}" not found'
        item = self._annotated(item, **{WORKLOAD_GENERATION: str(found["metadata"]["generation"])})
        spec = {
            **item["spec"],
            "template": found["spec"]["template"],
            "selector": item["spec"].get("selector") or found["spec"]["selector"],
        }
        return {**item, "spec": spec}, ""

    def _annotated(self, item: Object, **marks: str) -> Object:
        present = item["metadata"].get("annotations") or {}
        metadata = {**item["metadata"], "annotations": {**present, **marks}}
        return self._store.update(kinds.ROLLOUTS, {**item, "metadata": metadata})

    def _sets(self, item: Object, digest: str) -> Sets:
        found = by_age(ownership.owned(self._store, kinds.REPLICASETS, kinds.ROLLOUTS, item))
        by_hash = {each["metadata"]["labels"].get(HASH_LABEL): each for each in found}
        new, stable = by_hash.get(digest), by_hash.get(item["status"].get("stableRS"))
        known = {canary.name_of(each) for each in (new, stable) if each is not None}
        return Sets(new, stable, [each for each in found if canary.name_of(each) not in known])

    def _make(self, item: Object, digest: str) -> None:
        """Create the ReplicaSet of the present template, empty at first, and number it."""
        metadata, spec = item["metadata"], item["spec"]
        sets = ownership.owned(self._store, kinds.REPLICASETS, kinds.ROLLOUTS, item, adopt=False)
        number = str(max((_revision(each) for each in sets), default=0) + 1)
        template, selector = copy.deepcopy(spec["template"]), copy.deepcopy(spec["selector"])
        template.setdefault("metadata", {}).setdefault("labels", {})[HASH_LABEL] = digest
        selector.setdefault("matchLabels", {})[HASH_LABEL] = digest
        body: Object = {
            "metadata": {
                "name": f"{metadata['name']}-{digest}",
                "labels": dict(template["metadata"]["labels"]),
                "annotations": {REVISION: number, DESIRED: str(canary.replicas_of(item))},
                "ownerReferences": [ownership.reference(kinds.ROLLOUTS, item)],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
        }
        if spec.get("minReadySeconds"):
            body["spec"]["minReadySeconds"] = spec["minReadySeconds"]
        options = Options(manager=COMPONENT, validation="Ignore")
        self._objects.create(kinds.REPLICASETS, metadata["namespace"], body, options=options)
        self._numbered(item, number)

    def _numbered(self, item: Object, number: str) -> None:
        """Write the revision on the Rollout as it is kept, without what was resolved for this look.

        The real controller writes the whole object, and leaves `resources: {}` where containers ask for none.
        """
        metadata = item["metadata"]
        kept = self._store.get(kinds.ROLLOUTS, metadata["namespace"], metadata["name"])
        if kept is not None:
            self._annotated(_filled(kept), **{REVISION: number})
            self._tell(kept, "RolloutUpdated", f"Rollout updated to revision {number}")

    def _scaled(self, item: Object, sets: Sets) -> bool:
        """Bring the ReplicaSets to their next sizes; says whether one changed."""
        goals = canary.sizes(item, sets)
        changed = False
        for each in sets.every:
            name, before = canary.name_of(each), canary.size_of(each)
            if goals[name] == before:
                continue
            metadata = {**each["metadata"], "generation": each["metadata"].get("generation", 1) + 1}
            marks = {**(metadata.get("annotations") or {}), DESIRED: str(canary.replicas_of(item))}
            metadata["annotations"] = marks
            spec = {**each["spec"], "replicas": goals[name]}
            self._store.update(kinds.REPLICASETS, {**each, "metadata": metadata, "spec": spec})
            word = "up" if goals[name] > before else "down"
            words = f"Scaled {word} ReplicaSet {name} from {before} to {goals[name]}"
            self._tell(item, "ScalingReplicaSet", words)
            changed = True
        return changed

    def _write(self, item: Object, status: Object) -> Object:
        """Keep the status, and nothing of what was resolved for this look."""
        metadata = item["metadata"]
        kept = self._store.get(kinds.ROLLOUTS, metadata["namespace"], metadata["name"])
        if kept is None:
            return item
        if kept["spec"].get("workloadRef"):
            status = {
                **status,
                "workloadObservedGeneration": metadata["annotations"].get(WORKLOAD_GENERATION, ""),
            }
        return self._store.update(kinds.ROLLOUTS, {**kept, "status": status})

    def _tell_changes(self, item: Object, status: Object) -> None:
        before = item["status"]
        count, index = len(canary.steps_of(item)), status.get("currentStepIndex", 0)
        if index > before.get("currentStepIndex", 0) and before.get("stableRS"):
            self._tell(item, "RolloutStepCompleted", f"Rollout step {index}/{count} completed")
        if status.get("pauseConditions") and not before.get("pauseConditions"):
            self._tell(item, "RolloutPaused", f"Rollout is paused ({canary_status.PAUSE_STEP})")
        if status.get("stableRS") != before.get("stableRS"):
            number, digest = canary_status.revision_of(item), status["stableRS"]
            self._tell(item, "RolloutCompleted", f"Rollout completed update to revision {number} ({digest})")

    def _tell(self, item: Object, reason: str, message: str) -> None:
        self._events.tell(kinds.ROLLOUTS, item, reason=reason, message=message, component=COMPONENT)


def _filled(item: Object) -> Object:
    template = copy.deepcopy(item["spec"].get("template"))
    for each in (template or {}).get("spec", {}).get("containers") or []:
        each.setdefault("resources", {})
    if template == item["spec"].get("template"):
        return item
    metadata = {**item["metadata"], "generation": item["metadata"]["generation"] + 1}
    return {**item, "metadata": metadata, "spec": {**item["spec"], "template": template}}


def _revision(each: Object) -> int:
    text = (each["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def _unknown(item: Object) -> str:
    """What this imitation does not know of a Rollout, in the words of an invalid spec."""
    strategy = item["spec"].get("strategy") or {}
    if "blueGreen" in strategy:
        return "the practice cluster knows no blueGreen strategy"
    if "canary" not in strategy:
        return "Rollout has missing field '.spec.strategy.canary or .spec.strategy.blueGreen'"
    if (strategy["canary"] or {}).get("trafficRouting"):
        return "the practice cluster knows no trafficRouting"
    unknown = sorted({name for each in canary.steps_of(item) for name in each} - KNOWN_STEPS)
    return f"the practice cluster knows no step {unknown[0]}" if unknown else ""
