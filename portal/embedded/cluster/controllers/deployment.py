"""The Deployment controller: one action a sync, towards the present template and number."""

from collections.abc import Iterable, Sequence

from portal.embedded.cluster import kinds
from portal.embedded.cluster.controllers import ownership, progress, revisions, rolling
from portal.embedded.cluster.errors import ApiError
from portal.embedded.cluster.events import Events
from portal.embedded.cluster.objects import Objects, Options
from portal.embedded.cluster.store import Change, Key, Object, Store

COMPONENT = "deployment-controller"
MANAGER = "kube-controller-manager"
Sets = Sequence[Object]


class Deployments:
    def __init__(self, store: Store, objects: Objects, events: Events) -> None:
        self._store = store
        self._objects = objects
        self._events = events

    def keys(self, change: Change) -> Iterable[Key]:
        if change.kind is kinds.DEPLOYMENTS:
            yield change.object["metadata"]["namespace"], change.object["metadata"]["name"]
        if change.kind is kinds.REPLICASETS:
            yield from ownership.owner_key(change, kinds.DEPLOYMENTS)
        if change.kind is kinds.PODS and change.word == "DELETED":
            yield from self._recreating(change)

    def _recreating(self, change: Change) -> Iterable[Key]:
        """A Deployment that recreates waits for the last old pod to go."""
        holder = ownership.controller_of(change.object)
        if holder is None or holder["kind"] != "ReplicaSet":
            return
        namespace = change.object["metadata"]["namespace"]
        owner = self._store.get(kinds.REPLICASETS, namespace, holder["name"])
        deployment = ownership.controller_of(owner) if owner else None
        if deployment is not None:
            yield namespace, deployment["name"]

    def sync(self, key: Key) -> float | None:
        item = self._store.get(kinds.DEPLOYMENTS, *key)
        if item is None:
            return None
        sets = self._sets(item)
        if "deletionTimestamp" in item["metadata"]:
            return self._write_status(item, sets, revisions.find_new(item, sets), progressing=False)
        item = self._check_paused(item)
        if item["spec"].get("paused") or self._was_scaled(item, sets):
            return self._only_scale(item, sets)
        if item["spec"]["strategy"]["type"] == "Recreate":
            return self._recreate(item, sets)
        return self._roll(item, sets)

    def _sets(self, item: Object) -> list[Object]:
        found = ownership.owned(self._store, kinds.REPLICASETS, kinds.DEPLOYMENTS, item)
        return revisions.by_age(found)

    def _check_paused(self, item: Object) -> Object:
        """Pausing and resuming are told by the Progressing condition and restart its clock."""
        if not progress.has_deadline(item):
            return item
        conditions = item["status"].get("conditions") or []
        present = next((each for each in conditions if each["type"] == "Progressing"), None)
        if present is not None and present["reason"] == progress.TIMED_OUT:
            return item
        paused, said = (
            bool(item["spec"].get("paused")),
            present is not None and present["reason"] == "DeploymentPaused",
        )
        if paused == said:
            return item
        words, reason = ("Deployment is paused", "DeploymentPaused")
        if not paused:
            words, reason = ("Deployment is resumed", "DeploymentResumed")
        news = progress.condition("Progressing", "Unknown", reason=reason, message=words)
        return self._put_status(
            item, {**item["status"], "conditions": progress.with_condition(conditions, news)}
        )

    def _was_scaled(self, item: Object, sets: Sets) -> bool:
        wanted = str(item["spec"]["replicas"])
        return any(
            each["spec"]["replicas"] > 0 and revisions.annotations(each).get(revisions.DESIRED) != wanted
            for each in sets
        )

    def _only_scale(self, item: Object, sets: list[Object]) -> float | None:
        new = self._numbered(item, sets)
        item = self._fresh(item)
        sets = self._sets(item)
        self._scale(item, new, sets)
        if item["spec"].get("paused"):
            self._clean_up(item, new, sets)
        return self._write_status(self._fresh(item), self._sets(item), self._again(new), progressing=False)

    def _scale(self, item: Object, new: Object | None, sets: Sets) -> None:
        active = [each for each in sets if each["spec"]["replicas"] > 0]
        replicas = item["spec"]["replicas"]
        if len(active) < 2:
            latest = active[0] if active else (new or (sets[-1] if sets else None))
            if latest is not None:
                self._resize(item, latest, replicas)
            return
        if new is not None and _is_saturated(item, new):
            for each in active:
                if each is not new and each["metadata"]["uid"] != new["metadata"]["uid"]:
                    self._resize(item, each, 0)
            return
        if item["spec"]["strategy"]["type"] == "RollingUpdate":
            sizes = rolling.proportional(item, active)
            for each in active:
                self._resize(item, each, sizes[each["metadata"]["name"]])

    def _roll(self, item: Object, sets: list[Object]) -> float | None:
        new = self._new_set(item, sets)
        item, sets = self._fresh(item), self._sets(item)
        if new is None:
            return self._write_status(item, sets, None)
        old = _others(sets, new)
        acted = self._resize(item, new, self._target(item, new, sets))
        if not acted:
            sizes = rolling.shrink_old(item, new, [each for each in old if each["spec"]["replicas"] > 0])
            for each in old:
                if each["metadata"]["name"] in sizes:
                    acted = self._resize(item, each, sizes[each["metadata"]["name"]]) or acted
        if not acted and progress.is_complete(item, item["status"]):
            self._clean_up(item, new, sets)
        return self._write_status(item, self._sets(item), self._again(new))

    def _target(self, item: Object, new: Object, sets: Sets) -> int:
        replicas: int = item["spec"]["replicas"]
        if new["spec"]["replicas"] > replicas:
            return replicas
        return rolling.new_size(item, new, sets)

    def _recreate(self, item: Object, sets: list[Object]) -> float | None:
        new = self._numbered(item, sets)
        item, sets = self._fresh(item), self._sets(item)
        old = _others(sets, new)
        if any(each["spec"]["replicas"] > 0 for each in old):
            for each in old:
                self._resize(item, each, 0)
            return self._write_status(item, self._sets(item), self._again(new))
        if self._old_pods_live(item, new):
            return self._write_status(item, sets, new)
        new = self._new_set(item, sets)
        item = self._fresh(item)
        if new is not None:
            self._resize(item, new, item["spec"]["replicas"])
            if progress.is_complete(item, item["status"]):
                self._clean_up(item, new, self._sets(item))
        return self._write_status(item, self._sets(item), self._again(new))

    def _old_pods_live(self, item: Object, new: Object | None) -> bool:
        """Whether a pod of another template still runs, ending ones included."""
        uids = {each["metadata"]["uid"] for each in _others(self._sets(item), new)}
        for pod in self._store.every(kinds.PODS, item["metadata"]["namespace"]):
            holder = ownership.controller_of(pod)
            ended = pod["status"].get("phase") in ("Succeeded", "Failed")
            if holder is not None and holder["uid"] in uids and not ended:
                return True
        return False

    def _numbered(self, item: Object, sets: Sets) -> Object | None:
        """The new ReplicaSet where it exists, with its number and the Deployment's annotations."""
        new = revisions.find_new(item, sets)
        if new is None:
            return None
        number = max((revisions.revision(each) for each in _others(sets, new)), default=0) + 1
        new = self._store.update(kinds.REPLICASETS, revisions.renewed(item, new, number=number))
        found = progress.condition(
            "Progressing",
            "True",
            reason="FoundNewReplicaSet",
            message=f'Found new replica set "{new["metadata"]["name"]}"',
        )
        self._note_revision(item, new, found, only_first=True)
        return new

    def _new_set(self, item: Object, sets: Sets) -> Object | None:
        """The new ReplicaSet, made where it is missing; None when that failed."""
        found = self._numbered(item, sets)
        if found is not None:
            return found
        number = max((revisions.revision(each) for each in sets), default=0) + 1
        size = rolling.new_size(item, None, sets)
        body = revisions.new_set(item, replicas=size, number=number)
        options = Options(manager=MANAGER, validation="Ignore")
        try:
            made = self._objects.create(
                kinds.REPLICASETS, item["metadata"]["namespace"], body, options=options
            )
        except ApiError as error:
            self._not_made(item, error)
            return None
        if size:
            self._tell(item, f"Scaled up replica set {made['metadata']['name']} from 0 to {size}")
        words = f'Created new replica set "{made["metadata"]["name"]}"'
        news = progress.condition("Progressing", "True", reason="NewReplicaSetCreated", message=words)
        self._note_revision(item, made, news, only_first=False)
        return made

    def _not_made(self, item: Object, error: ApiError) -> None:
        """Another template has the same hash, or the creation was refused."""
        if error.reason == "AlreadyExists":
            count = item["status"].get("collisionCount", 0) + 1
            self._put_status(item, {**item["status"], "collisionCount": count})
            return
        news = progress.condition(
            "Progressing", "False", reason="ReplicaSetCreateError", message=error.message
        )
        conditions = progress.with_condition(item["status"].get("conditions") or [], news)
        self._put_status(item, {**item["status"], "conditions": conditions})

    def _note_revision(self, item: Object, new: Object, news: Object, *, only_first: bool) -> None:
        """Write the revision on the Deployment, with the condition that tells where it came from."""
        conditions = item["status"].get("conditions") or []
        present = any(each["type"] == "Progressing" for each in conditions)
        if progress.has_deadline(item) and not (only_first and present):
            conditions = progress.with_condition(conditions, news)
        marks = {
            **revisions.annotations(item),
            revisions.REVISION: revisions.annotations(new)[revisions.REVISION],
        }
        status = {**item["status"], "conditions": conditions} if conditions else item["status"]
        metadata = {**item["metadata"], "annotations": marks}
        self._store.update(kinds.DEPLOYMENTS, {**item, "metadata": metadata, "status": status})

    def _resize(self, item: Object, each: Object, size: int) -> bool:
        """Give a ReplicaSet a size and note the Deployment's numbers on it; says whether the size changed."""
        before = each["spec"]["replicas"]
        marks = {
            **revisions.annotations(each),
            revisions.DESIRED: str(item["spec"]["replicas"]),
            revisions.MAXIMUM: str(rolling.most(item)),
        }
        metadata = {**each["metadata"], "annotations": marks}
        spec = {**each["spec"], "replicas": size}
        if before != size:
            metadata["generation"] = metadata.get("generation", 1) + 1
        self._store.update(kinds.REPLICASETS, {**each, "metadata": metadata, "spec": spec})
        if before == size:
            return False
        word = "up" if size > before else "down"
        self._tell(item, f"Scaled {word} replica set {metadata['name']} from {before} to {size}")
        return True

    def _clean_up(self, item: Object, new: Object | None, sets: Sets) -> None:
        """Forget the oldest ReplicaSets beyond the limit."""
        limit = item["spec"].get("revisionHistoryLimit", 10)
        old = [each for each in _others(sets, new) if "deletionTimestamp" not in each["metadata"]]
        for each in sorted(old, key=revisions.revision)[: max(len(old) - limit, 0)]:
            if each["spec"]["replicas"] == 0 and not (each.get("status") or {}).get("replicas"):
                self._store.remove(kinds.REPLICASETS, each)

    def _write_status(
        self, item: Object, sets: Sets, new: Object | None, *, progressing: bool = True
    ) -> float | None:
        """Write counts and conditions; returns when the deadline is due."""
        item = self._fresh(item)
        status = progress.counts(item, sets, new)
        if progressing:
            conditions = progress.conditions_of(item, sets, new, status=status)
        else:
            conditions = progress.with_condition(
                item["status"].get("conditions") or [], progress.availability(item, status)
            )
            conditions = progress.with_failures(conditions, sets, new)
        item = self._put_status(item, {**status, "conditions": conditions})
        if item["spec"].get("paused"):
            return None
        return progress.seconds_left(item, conditions)

    def _put_status(self, item: Object, status: Object) -> Object:
        return self._store.update(kinds.DEPLOYMENTS, {**item, "status": status})

    def _fresh(self, item: Object) -> Object:
        found = self._store.get(kinds.DEPLOYMENTS, item["metadata"]["namespace"], item["metadata"]["name"])
        return found or item

    def _again(self, new: Object | None) -> Object | None:
        if new is None:
            return None
        return self._store.get(kinds.REPLICASETS, new["metadata"]["namespace"], new["metadata"]["name"])

    def _tell(self, item: Object, message: str) -> None:
        self._events.tell(
            kinds.DEPLOYMENTS, item, reason="ScalingReplicaSet", message=message, component=COMPONENT
        )


def _others(sets: Sets, new: Object | None) -> list[Object]:
    if new is None:
        return list(sets)
    return [each for each in sets if each["metadata"]["uid"] != new["metadata"]["uid"]]


def _is_saturated(item: Object, new: Object) -> bool:
    replicas = item["spec"]["replicas"]
    return bool(
        new["spec"]["replicas"] == replicas
        and revisions.annotations(new).get(revisions.DESIRED) == str(replicas)
        and (new.get("status") or {}).get("availableReplicas", 0) == replicas
    )
