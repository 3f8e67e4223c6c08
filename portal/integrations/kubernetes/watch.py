"""List, then watch, then list again: a view of one collection that survives cut and expired watches.

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
Versions = dict[str, str | None]


class CollectionWatch:
    """Keeps `objects` (by uid) equal to a namespace's collection; tells `seen(type, object)` of changes.

    `seen` is called from the watch's own thread; type is ADDED, MODIFIED, DELETED, or LISTED once after each
    full list (the object is then empty). `fields` is a field selector that cuts the collection.
    """

    def __init__(
        self, cluster: Cluster, plural: str, namespace: str, *, seen: Seen, fields: str = ""
    ) -> None:
        self.cluster = cluster
        self.plural = plural
        self.namespace = namespace
        self.fields = fields
        self.objects: dict[str, Json] = {}
        self.listed = False
        self._seen = seen
        self._ending = threading.Event()
        self._version = ""

    def end(self) -> None:
        """Ask the loop to end; it does at the next event or when the server ends the watch."""
        self._ending.set()

    def anew(self) -> "CollectionWatch":
        """The same watch from its beginning, for one that has fallen silent; this one ends by itself."""
        self.end()
        return CollectionWatch(self.cluster, self.plural, self.namespace, seen=self._seen, fields=self.fields)

    def untold(self) -> Versions:
        """Read the collection beside the watch, and return which objects it has not told of so far.

        Returns:
            The version that the watch knows by uid, None for what it does not know; a watch that lives tells
            of these within a moment (see `still_untold`).

        Raises:
            TemporaryError, PermanentError: the cluster does not answer or refuses.
        """
        if not self.listed:
            return {}
        before = self._known()
        listing = self.cluster.find(self.plural, self.namespace, fields=self.fields)
        there = {each["metadata"]["uid"]: each["metadata"].get("resourceVersion") for each in listing.items}
        return {
            uid: before.get(uid) for uid in before.keys() | there.keys() if before.get(uid) != there.get(uid)
        }

    def still_untold(self, found: Versions) -> bool:
        """Whether the watch still knows of one of these objects what it knew before."""
        known = self._known()
        return any(known.get(uid) == version for uid, version in found.items())

    def _known(self) -> Versions:
        return {uid: each["metadata"].get("resourceVersion") for uid, each in list(self.objects.items())}

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
        listing = self.cluster.find(self.plural, self.namespace, fields=self.fields)
        self.objects = {each["metadata"]["uid"]: each for each in listing.items}
        self._version = listing.version
        self.listed = True
        self._seen("LISTED", {})

    def _watch(self) -> None:
        seconds = WATCH_SECONDS + random.randint(0, 30)  # noqa: S311  spreads reconnects only
        path = collection_path(self.plural, self.namespace)
        for event in self.cluster.watch(path, version=self._version, seconds=seconds, fields=self.fields):
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
