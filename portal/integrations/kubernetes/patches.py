"""The patches that the portal sends: conditional on the version, or the size, that was seen. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from portal.integrations.kubernetes.workloads import Json, Workload


def image_patch(seen: Workload, images: Mapping[str, str], *, annotations: Mapping[str, str]) -> Json:
    """Return the strategic merge patch that sets images and annotations on what was seen."""
    pod = seen.template.get("spec") or {}
    spec: Json = {}
    for field in ("initContainers", "containers"):
        named = [each["name"] for each in pod.get(field) or [] if each["name"] in images]
        if named:
            spec[field] = [{"name": name, "image": images[name]} for name in named]
    return {
        "metadata": {"resourceVersion": seen.resource_version, "annotations": dict(annotations)},
        "spec": {"template": {"spec": spec}},
    }


def template_patch(seen: Workload, template: Json, *, annotations: Mapping[str, str]) -> list[Json]:
    """Return the JSON patch that puts a template back; a stale version is answered with a clean conflict."""
    put_back: Json = {"op": "replace", "path": "/spec/template", "value": template}
    return [*guarded(seen), put_back, *annotating(seen.annotations, annotations)]


def size_patch(seen: Json, replicas: int, *, annotations: Mapping[str, str]) -> list[Json]:
    """Return the JSON patch that sets a size where it is still what was seen.

    It names no version: controllers write the status many times while pods come and go.
    """
    metadata = seen["metadata"]
    tests = [{"op": "test", "path": "/metadata/uid", "value": metadata["uid"]}]
    if "replicas" in seen["spec"]:
        tests.append({"op": "test", "path": "/spec/replicas", "value": seen["spec"]["replicas"]})
    size = {"op": "add", "path": "/spec/replicas", "value": replicas}
    return [*tests, size, *annotating(metadata.get("annotations") or {}, annotations)]


def guarded(seen: Workload) -> list[Json]:
    """Return the operation that makes a JSON patch conditional."""
    return [{"op": "replace", "path": "/metadata/resourceVersion", "value": seen.resource_version}]


def annotating(seen: Mapping[str, str], annotations: Mapping[str, str]) -> list[Json]:
    """Return the operations that add annotations to those that were seen."""
    if not seen:
        return [{"op": "add", "path": "/metadata/annotations", "value": dict(annotations)}]
    return [
        {"op": "add", "path": f"/metadata/annotations/{_escaped(key)}", "value": value}
        for key, value in annotations.items()
    ]


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
