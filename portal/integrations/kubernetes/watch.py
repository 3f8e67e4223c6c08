"""List, then watch, then list again: a view of one collection that survives cut, silent and expired watches.

What ends a watch and why a new list follows: protocols.md, A5.
"""

import random
import threading
from collections.abc import Callable

from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.client import Cluster, collection_path
from portal.integrations.kubernetes.errors import EXPIRED
from portal.integrations.kubernetes.workloads import Json

WATCH_SECONDS = 240
BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
Seen = Callable[[str, Json], None]


class CollectionWatch:
    """Keeps `objects` (by uid) equal to a namespace's collection; tells `seen(type, object)` of changes.

    `seen` is called from the watch's own thread; type is ADDED, MODIFIED, DELETED, or LISTED once after each
    full list (the object is then empty).
    """

    def __init__(self, cluster: Cluster, plural: str, namespace: str, *, seen: Seen) -> None:
        self.cluster = cluster
        self.plural = plural
        self.namespace = namespace
        self.objects: dict[str, Json] = {}
        self.listed = False
        self._seen = seen
        self._ending = threading.Event()
        self._version = ""

    def end(self) -> None:
        """Ask the loop to end; it does at the next event or when the server ends the watch."""
        self._ending.set()

    def run(self) -> None:
        """List and watch until told to end."""
        failures = 0
        while not self._ending.is_set():
            try:
                if not self._version:
                    self._list()
                self._watch()
                failures = 0
            except TemporaryError:
                self._version = ""
                failures += 1
            except PermanentError as error:
                self._version = ""
                failures += 0 if error.code == EXPIRED else 1
            if failures:
                self._ending.wait(BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS)) - 1])

    def _list(self) -> None:
        listing = self.cluster.find(self.plural, self.namespace)
        self.objects = {each["metadata"]["uid"]: each for each in listing.items}
        self._version = listing.version
        self.listed = True
        self._seen("LISTED", {})

    def _watch(self) -> None:
        seconds = WATCH_SECONDS + random.randint(0, 30)  # noqa: S311  spreads reconnects only
        path = collection_path(self.plural, self.namespace)
        for event in self.cluster.watch(path, version=self._version, seconds=seconds):
            self._take(str(event.get("type", "")), event.get("object") or {})
            if self._ending.is_set() or not self._version:
                return

    def _take(self, kind: str, body: Json) -> None:
        if kind == "ERROR":
            # 410 and anything else the server cannot go on from: begin again with a list.
            self._version = ""
            return
        metadata = body.get("metadata") or {}
        self._version = str(metadata.get("resourceVersion") or self._version)
        if kind == "BOOKMARK":
            return
        if kind == "DELETED":
            self.objects.pop(metadata.get("uid", ""), None)
        else:
            self.objects[metadata["uid"]] = body
        self._seen(kind, body)
