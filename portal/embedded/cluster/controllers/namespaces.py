"""Namespaces: what every one has from the start, and how one goes with all that is in it."""

from collections.abc import Iterable

from portal.embedded.cluster import kinds
from portal.embedded.cluster.kinds import KINDS
from portal.embedded.cluster.objects import Objects, Options
from portal.embedded.cluster.store import Change, Key, Object, Store, key_of

USUAL = ("default", "kube-system", "kube-public", "kube-node-lease")
CONTENTS = tuple(kind for kind in KINDS if kind.namespaced)


class Namespaces:
    def __init__(self, store: Store, objects: Objects) -> None:
        self._store = store
        self._objects = objects

    def keys(self, change: Change) -> Iterable[Key]:
        if change.kind is kinds.NAMESPACES and change.word != "DELETED":
            yield "", change.object["metadata"]["name"]
        if change.word != "DELETED" or not change.kind.namespaced:
            return
        name = change.object["metadata"]["namespace"]
        namespace = self._store.get(kinds.NAMESPACES, "", name)
        ends = namespace is not None and "deletionTimestamp" in namespace["metadata"]
        if ends or change.kind in (kinds.SERVICEACCOUNTS, kinds.CONFIGMAPS):
            yield "", name

    def sync(self, key: Key) -> float | None:
        namespace = self._store.get(kinds.NAMESPACES, *key)
        if namespace is None:
            return None
        if "deletionTimestamp" in namespace["metadata"]:
            self._empty(namespace)
            return None
        name = key[1]
        if self._store.get(kinds.SERVICEACCOUNTS, name, "default") is None:
            self._store.create(kinds.SERVICEACCOUNTS, {"metadata": {"name": "default", "namespace": name}})
        if self._store.get(kinds.CONFIGMAPS, name, "kube-root-ca.crt") is None:
            metadata = {"name": "kube-root-ca.crt", "namespace": name}
            self._store.create(kinds.CONFIGMAPS, {"metadata": metadata, "data": {"ca.crt": ""}})
        return None

    def _empty(self, namespace: Object) -> None:
        """Delete the contents; once they are gone the namespace goes too."""
        name = namespace["metadata"]["name"]
        options = Options(propagation="Background")
        for kind in CONTENTS:
            for item in self._store.every(kind, name):
                if "deletionTimestamp" not in item["metadata"]:
                    self._objects.delete(kind, *key_of(item), options=options)
        if any(self._store.every(kind, name) for kind in CONTENTS):
            return
        if not namespace["metadata"].get("finalizers"):
            self._store.remove(kinds.NAMESPACES, namespace)


def ensure_usual(store: Store, objects: Objects) -> None:
    """Make the namespaces that every cluster has."""
    for name in USUAL:
        if store.get(kinds.NAMESPACES, "", name) is None:
            body = {"metadata": {"name": name}}
            objects.create(kinds.NAMESPACES, "", body, options=Options(manager="kube-apiserver"))
