"""What the applications in pods answer over HTTP: health, versions, and the view of their own cluster.

A pod is a member of the cluster that JGROUPS_CLUSTER or INFINISPAN_CLUSTER in its environment names. Its
annotation `practice/cluster-view` says what is wrong with that: "swings" (a member comes and goes), "split"
(each pod sees itself alone), "rebalances", or "silent".
"""

import html
import json
import time

from portal.embedded.cluster import kinds
from portal.embedded.cluster.controllers import podwork
from portal.embedded.cluster.images import Images, read_reference
from portal.embedded.cluster.store import Object, Store

JSON = "application/json"
HTML = "text/html; charset=utf-8"
Page = tuple[int, str, str]
HEALTH = ("/actuator/health", "/actuator/health/readiness", "/actuator/health/liveness", "/health")
CLUSTERS = {"/cluster/status": "JGROUPS_CLUSTER", "/rest/v2/container/health": "INFINISPAN_CLUSTER"}
# An object in JSON whose fields a health answer has as well.
DETAILS = "practice/health-json"
VIEW_MARK = "practice/cluster-view"
# One turn of a view that swings.
SWING_SECONDS = 1.0


class Pages:
    def __init__(self, store: Store | None = None, images: Images | None = None) -> None:
        self._store = store
        self._images = images

    def page(self, pod: Object, path: str) -> Page:
        """Status, type and body of an answer."""
        container = pod["spec"]["containers"][0]
        health = self._health(pod, container)
        if path in HEALTH or (path.startswith("/api/v1/") and path.endswith("/health")):
            parts = {"db": {"status": health}, "diskSpace": {"status": "UP"}, "ping": {"status": "UP"}}
            code = 200 if health in ("UP", "UNKNOWN") else 503
            said = {"status": health, "components": parts, **self._details(pod, container)}
            return code, JSON, json.dumps(said)
        if path in CLUSTERS and (name := _cluster_of(pod, CLUSTERS[path])):
            return self._view(pod, path, name)
        reference = read_reference(container["image"])
        version = self._version(container["image"])
        if path == "/":
            name = html.escape(reference.repository.rpartition("/")[2])
            page = f"<!doctype html><title>{name}</title><h1>{name}</h1><p>version {html.escape(version)}</p>"
            return 200, HTML, page
        if path in ("/actuator/info", "/version"):
            return 200, JSON, json.dumps({"name": reference.repository, "version": version})
        return 404, JSON, json.dumps({"error": "not found", "path": path})

    def _view(self, pod: Object, path: str, name: str) -> Page:
        marked = (pod["metadata"].get("annotations") or {}).get(VIEW_MARK, "")
        if marked == "silent" or not podwork.is_ready(pod):
            return 503, JSON, json.dumps({"error": "no view yet"})
        names = [pod["metadata"]["name"]] if marked == "split" else self._members(pod, path, name)
        if path == "/cluster/status":
            return 200, JSON, json.dumps({"cluster": name, "view": _jgroups(names)})
        status = "HEALTHY_REBALANCING" if marked == "rebalances" else "HEALTHY"
        health = {
            "cluster_name": name,
            "health_status": status,
            "number_of_nodes": len(names),
            "node_names": names,
        }
        return 200, JSON, json.dumps({"cluster_health": health, "cache_health": []})

    def _members(self, pod: Object, path: str, name: str) -> list[str]:
        """The ready pods that name the same cluster; one comes and goes where one is told to swing."""
        members = [
            each
            for each in self._pods(pod["metadata"]["namespace"])
            if _cluster_of(each, CLUSTERS[path]) == name
            and podwork.is_ready(each)
            and "deletionTimestamp" not in each["metadata"]
        ]
        marks = {(each["metadata"].get("annotations") or {}).get(VIEW_MARK) for each in members}
        names = sorted(each["metadata"]["name"] for each in members)
        away = "swings" in marks and int(time.time() / SWING_SECONDS) % 2
        return names[:-1] if away else names

    def _pods(self, namespace: str) -> list[Object]:
        return list(self._store.every(kinds.PODS, namespace)) if self._store is not None else []

    def _labels(self, image: str) -> dict[str, str]:
        return self._images.labels_of(image) if self._images is not None else {}

    def _health(self, pod: Object, container: Object) -> str:
        marks = pod["metadata"].get("annotations") or {}
        return marks.get("practice/health") or self._labels(container["image"]).get("practice/health", "UP")

    def _details(self, pod: Object, container: Object) -> Object:
        """What the pod's annotation adds to a health answer, and its image's label over that."""
        marks = pod["metadata"].get("annotations") or {}
        texts = (marks.get(DETAILS), self._labels(container["image"]).get(DETAILS))
        return {name: value for text in texts if text for name, value in json.loads(text).items()}

    def _version(self, image: str) -> str:
        reference = read_reference(image)
        labelled = self._labels(image).get("org.opencontainers.image.version")
        return labelled or reference.tag or reference.digest


def _cluster_of(pod: Object, variable: str) -> str:
    found = (
        each.get("value", "")
        for container in pod["spec"]["containers"]
        for each in container.get("env") or []
        if each["name"] == variable
    )
    return next(found, "")


def _jgroups(names: list[str]) -> Object:
    """A view as JGroups tells it: its coordinator and number, and who is in it."""
    number = sum(map(ord, "".join(names)))
    return {"id": f"{names[0] if names else ''}|{number}", "size": len(names), "members": names}
