"""All objects of the cluster, their versions, and the history that watches read.

Objects in the store are never changed in place: a writer makes a new one. So readers, history and
watches share them without copying.
"""

import asyncio
import logging
import sqlite3
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from portal.embedded.cluster import clock
from portal.embedded.cluster.disk import Address, Disk
from portal.embedded.cluster.kinds import KINDS, Kind

logger = logging.getLogger(__name__)

Object = dict[str, Any]
Key = tuple[str, str]
# A kind in one namespace, or in all of them where that is "".
Where = tuple[Kind, str]

HISTORY_LENGTH = 3000
FLUSH_SECONDS = 0.05
AGAIN_SECONDS = 2.0
# Watches may have seen versions that a killed process had not written; a new life starts beyond them.
RESTART_GAP = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """One step of the history: `word` is ADDED, MODIFIED or DELETED."""

    version: int
    word: str
    kind: Kind
    object: Object
    previous: Object | None


Listener = Callable[[Change], None]


class Store:
    """Objects by kind, namespace and name."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._objects: dict[Kind, dict[Key, Object]] = {kind: {} for kind in KINDS}
        self._dirty: dict[Address, Object | None] = {}
        self._flush_at: asyncio.TimerHandle | None = None
        self._listeners: dict[Where | None, list[Listener]] = {None: []}
        self.history: deque[Change] = deque(maxlen=HISTORY_LENGTH)
        self.version = int(disk.setting("version") or 0) + RESTART_GAP
        self.forgotten = self.version
        self._load()

    def _load(self) -> None:
        by_resource = {kind.resource: kind for kind in KINDS}
        for (resource, namespace, name), body in self._disk.objects():
            if resource in by_resource:
                self._objects[by_resource[resource]][namespace, name] = body

    def listen(self, listener: Listener, where: Where | None = None) -> None:
        """Call `listener` after every change, or after those of a kind, in order."""
        self._listeners.setdefault(where, []).append(listener)

    def unlisten(self, listener: Listener, where: Where | None = None) -> None:
        self._listeners[where].remove(listener)

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self._objects[kind].get((namespace, name))

    def every(self, kind: Kind, namespace: str = "") -> list[Object]:
        """Objects in the order of namespace and name; all namespaces where none is given."""
        held = self._objects[kind]
        if not namespace:
            return [held[key] for key in sorted(held)]
        return [held[key] for key in sorted(held) if key[0] == namespace]

    def every_at(self, kind: Kind, namespace: str, version: int) -> list[Object]:
        """The list as it was at a version, told from the history backwards."""
        then = dict(self._objects[kind])
        for change in reversed(self.history):
            if change.version <= version:
                break
            if change.kind is not kind:
                continue
            key = key_of(change.object)
            if change.word == "ADDED":
                then.pop(key, None)
            elif change.previous is not None:
                then[key] = change.previous
        return [then[key] for key in sorted(then) if not namespace or key[0] == namespace]

    def create(self, kind: Kind, item: Object) -> Object:
        """Put a new object; gives uid, time of creation and version."""
        metadata = dict(item["metadata"])
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata.setdefault("creationTimestamp", clock.stamp())
        return self._put(kind, {**item, "metadata": metadata}, word="ADDED", previous=None)

    def update(self, kind: Kind, item: Object, *, touched: bool = False) -> Object:
        """Put a new state of an object; one that says the same is no change unless `touched`."""
        key = key_of(item)
        previous = self._objects[kind][key]
        if not touched and _same(previous, item):
            return previous
        return self._put(kind, item, word="MODIFIED", previous=previous)

    def remove(self, kind: Kind, item: Object) -> Object | None:
        """Forget an object; returns its last state, or None where it was gone already."""
        previous = self._objects[kind].pop(key_of(item), None)
        if previous is None:
            return None
        self.version += 1
        last = {**previous, "metadata": {**previous["metadata"], "resourceVersion": str(self.version)}}
        self._mark(kind, last, gone=True)
        self._publish(Change(self.version, "DELETED", kind, last, previous))
        return last

    def _put(self, kind: Kind, item: Object, *, word: str, previous: Object | None) -> Object:
        self.version += 1
        stored = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self.version)}}
        self._objects[kind][key_of(stored)] = stored
        self._mark(kind, stored, gone=False)
        self._publish(Change(self.version, word, kind, stored, previous))
        return stored

    def _publish(self, change: Change) -> None:
        if len(self.history) == HISTORY_LENGTH:
            self.forgotten = self.history[0].version
        self.history.append(change)
        namespace = change.object["metadata"].get("namespace", "")
        # Some thousand watches may be open, and most are of other namespaces.
        for where in dict.fromkeys((None, (change.kind, ""), (change.kind, namespace))):
            for listener in tuple(self._listeners.get(where, ())):
                listener(change)

    def forget_history(self) -> None:
        """Make every version before the present one too old to watch from."""
        self.history.clear()
        self.forgotten = self.version

    def _mark(self, kind: Kind, item: Object, *, gone: bool) -> None:
        self._dirty[kind.resource, *key_of(item)] = None if gone else item
        if self._flush_at is None:
            self._flush_at = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what has changed to disk; an API answer is sent only after this.

        Where the disk is full it goes on in memory, and tries again until there is room.
        """
        if self._flush_at is not None:
            self._flush_at.cancel()
            self._flush_at = None
        if not self._dirty:
            return
        try:
            self._disk.write(self._dirty.items(), version=self.version)
        except sqlite3.OperationalError as error:
            logger.warning("objects cannot be written, which is tried again: %s", error)
            self._flush_at = asyncio.get_running_loop().call_later(AGAIN_SECONDS, self.flush)
        else:
            self._dirty = {}


def key_of(item: Object) -> Key:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _same(old: Object, new: Object) -> bool:
    if old is new:
        return True
    return _comparable(old) == _comparable(new)


def _comparable(item: Object) -> Object:
    metadata = {
        key: value
        for key, value in item["metadata"].items()
        if key not in ("resourceVersion", "managedFields")
    }
    return {**item, "metadata": metadata}
