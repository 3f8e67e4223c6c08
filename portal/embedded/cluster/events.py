"""Writes events about objects, counting repetitions as Kubernetes does."""

import itertools
import time

from portal.embedded.cluster import clock, kinds
from portal.embedded.cluster.kinds import Kind
from portal.embedded.cluster.store import Object, Store

LIFE_SECONDS = 3600


class Events:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: dict[tuple[str, str, str], str] = {}
        self._numbers = itertools.count(time.time_ns())

    def tell(
        self,
        kind: Kind,
        item: Object,
        *,
        reason: str,
        message: str,
        component: str,
        warning: bool = False,
        field_path: str = "",
        host: str = "",
    ) -> None:
        """Record that something happened to an object."""
        metadata = item["metadata"]
        namespace = metadata.get("namespace") or "default"
        key = (metadata["uid"], reason, message)
        known = self._store.get(kinds.EVENTS, namespace, self._seen.get(key, ""))
        if known is not None:
            again = {**known, "count": known["count"] + 1, "lastTimestamp": clock.stamp()}
            self._store.update(kinds.EVENTS, again)
            return
        event = self._event(kind, item, reason=reason, message=message, warning=warning)
        event["involvedObject"] |= {"fieldPath": field_path} if field_path else {}
        stamp = clock.stamp()
        event |= {"firstTimestamp": stamp, "lastTimestamp": stamp, "count": 1, "eventTime": None}
        event |= {"source": {"component": component, **({"host": host} if host else {})}}
        event |= {"reportingComponent": component, "reportingInstance": host}
        self._seen[key] = event["metadata"]["name"]
        self._create(event)

    def tell_scheduling(self, pod: Object, *, reason: str, message: str, warning: bool) -> None:
        """Record what the scheduler says: it fills eventTime and leaves the older times empty."""
        event = self._event(kinds.PODS, pod, reason=reason, message=message, warning=warning)
        event |= {"eventTime": clock.micro_stamp(), "firstTimestamp": None, "lastTimestamp": None}
        event |= {"source": {}, "reportingComponent": "default-scheduler", "reportingInstance": "practice"}
        event |= {"action": "Scheduling"}
        self._create(event)

    def _event(self, kind: Kind, item: Object, *, reason: str, message: str, warning: bool) -> Object:
        metadata = item["metadata"]
        involved = {
            "kind": kind.kind,
            "apiVersion": kind.api_version,
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata.get("resourceVersion", ""),
        }
        if "namespace" in metadata:
            involved["namespace"] = metadata["namespace"]
        name = f"{metadata['name']}.{next(self._numbers):x}"
        return {
            "metadata": {"name": name, "namespace": metadata.get("namespace") or "default"},
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "type": "Warning" if warning else "Normal",
        }

    def _create(self, event: Object) -> None:
        namespace = self._store.get(kinds.NAMESPACES, "", event["metadata"]["namespace"])
        if namespace is not None:
            self._store.create(kinds.EVENTS, event)

    def expire(self) -> None:
        """Forget what is older than an hour."""
        for event in self._store.every(kinds.EVENTS):
            last = event.get("lastTimestamp") or event["metadata"]["creationTimestamp"]
            if clock.age(last) > LIFE_SECONDS:
                self._store.remove(kinds.EVENTS, event)
        held = {event["metadata"]["name"] for event in self._store.every(kinds.EVENTS)}
        self._seen = {key: name for key, name in self._seen.items() if name in held}
