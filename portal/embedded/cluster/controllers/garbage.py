"""Garbage collection: dependents go with their owners, now, first, or not at all."""

from collections.abc import Iterable

from portal.embedded.cluster import kinds
from portal.embedded.cluster.errors import ApiError
from portal.embedded.cluster.kinds import KINDS, Kind
from portal.embedded.cluster.objects import Objects, Options
from portal.embedded.cluster.store import Change, Key, Object, Store

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
DEPENDENTS = tuple(kind for kind in KINDS if kind is not kinds.EVENTS)


class Garbage:
    """Its keys are `uid` of an owner and its kind's resource."""

    def __init__(self, store: Store, objects: Objects) -> None:
        self._store = store
        self._objects = objects

    def keys(self, change: Change) -> Iterable[Key]:
        if change.kind is kinds.EVENTS:
            return
        metadata = change.object["metadata"]
        if change.word == "DELETED" or "deletionTimestamp" in metadata:
            yield metadata["uid"], change.kind.resource
        if change.word == "DELETED":
            for reference in metadata.get("ownerReferences") or []:
                kind = kinds.by_name(reference["apiVersion"], reference["kind"])
                if kind is not None:
                    yield reference["uid"], kind.resource
        if change.word == "ADDED":
            for reference in metadata.get("ownerReferences") or []:
                yield reference["uid"], ""

    def sync(self, key: Key) -> float | None:
        uid, resource = key
        owner_kind, owner = self._owner(uid, resource)
        if owner is None or owner_kind is None:
            self._collect(uid)
            return None
        finalizers = owner["metadata"].get("finalizers") or []
        if "deletionTimestamp" not in owner["metadata"]:
            return None
        if ORPHAN in finalizers:
            self._orphan(uid)
            self._release(owner_kind, owner, ORPHAN)
        elif FOREGROUND in finalizers and not self._collect(uid, foreground=True):
            self._release(owner_kind, owner, FOREGROUND)
        return None

    def _owner(self, uid: str, resource: str) -> tuple[Kind | None, Object | None]:
        for kind in [kinds.named(resource)] if resource else DEPENDENTS:
            for item in self._store.every(kind):
                if item["metadata"]["uid"] == uid:
                    return kind, item
        return None, None

    def _dependents(self, uid: str) -> list[tuple[Kind, Object]]:
        return [
            (kind, item)
            for kind in DEPENDENTS
            for item in self._store.every(kind)
            if any(each["uid"] == uid for each in item["metadata"].get("ownerReferences") or [])
        ]

    def _collect(self, uid: str, *, foreground: bool = False) -> int:
        """Delete what depends on a uid; returns how many of them the owner still waits for."""
        options = Options(propagation="Foreground" if foreground else "Background")
        waiting = 0
        for kind, item in self._dependents(uid):
            waiting += 1
            if "deletionTimestamp" in item["metadata"]:
                continue
            metadata = item["metadata"]
            leaves = kind is kinds.PODS or kind is kinds.SLICES
            chosen = Options(propagation="Background") if leaves else options
            try:
                self._objects.delete(kind, metadata.get("namespace", ""), metadata["name"], options=chosen)
            except ApiError as error:
                if error.code != 404:
                    raise
            if self._store.get(kind, metadata.get("namespace", ""), metadata["name"]) is None:
                waiting -= 1
        return waiting

    def _orphan(self, uid: str) -> None:
        for kind, item in self._dependents(uid):
            kept = [each for each in item["metadata"]["ownerReferences"] if each["uid"] != uid]
            metadata = {**item["metadata"], "ownerReferences": kept}
            if not kept:
                del metadata["ownerReferences"]
            self._store.update(kind, {**item, "metadata": metadata})

    def _release(self, kind: Kind, owner: Object, finalizer: str) -> None:
        """Take a finalizer off; the last one lets the owner go."""
        kept = [each for each in owner["metadata"].get("finalizers") or [] if each != finalizer]
        metadata = {**owner["metadata"], "finalizers": kept}
        if not kept:
            del metadata["finalizers"]
        self._objects.put(kind, {**owner, "metadata": metadata})
