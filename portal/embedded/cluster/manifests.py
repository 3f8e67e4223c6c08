"""Puts the objects of YAML files into a new cluster."""

from collections.abc import Iterable
from pathlib import Path

import yaml

from portal.embedded.cluster import kinds
from portal.embedded.cluster.cluster import Cluster
from portal.embedded.cluster.errors import bad_request
from portal.embedded.cluster.objects import Options
from portal.embedded.cluster.store import Object


def load_manifests(cluster: Cluster, paths: Iterable[Path]) -> None:
    """Create every object of the files, namespaces and accounts that are missing included.

    Raises:
        ApiError: an object that the API would refuse too.
    """
    options = Options(manager="kubectl", validation="Strict")
    for path in paths:
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            for item in (document or {}).get("items", [document]):
                if item:
                    _create(cluster, item, options)


def _create(cluster: Cluster, item: Object, options: Options) -> None:
    kind = kinds.by_name(item.get("apiVersion", ""), item.get("kind", ""))
    if kind is None:
        raise bad_request(f"no matches for kind {item.get('kind')!r} in version {item.get('apiVersion')!r}")
    namespace = item["metadata"].get("namespace", "default") if kind.namespaced else ""
    if namespace and cluster.store.get(kinds.NAMESPACES, "", namespace) is None:
        body = {"metadata": {"name": namespace}}
        cluster.objects.create(kinds.NAMESPACES, "", body, options=options)
    if cluster.store.get(kind, namespace, item["metadata"]["name"]) is None:
        cluster.objects.create(kind, namespace, item, options=options)
